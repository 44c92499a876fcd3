package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"oneid/internal/embedded/chdb/libchdb"
)

// usage: exp DIR < script ; lines starting with "@bi" run on a bi connection, else admin
func main() {
	dir := os.Args[1]
	os.MkdirAll(dir, 0o755)
	lib, err := libchdb.Load("/tmp/chdbx/package/libchdb.so")
	if len(os.Args) > 2 {
		lib, err = libchdb.Load(os.Args[2])
	}
	if err != nil {
		panic(err)
	}
	fmt.Println(lib.Version())
	admin, err := lib.Connect([]string{"--path=" + dir + "/store", "--config-file=" + dir + "/config.xml"})
	if err != nil {
		panic(err)
	}
	defer admin.Close()
	s := bufio.NewScanner(os.Stdin)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		q := s.Text()
		if q == "" {
			continue
		}
		c := admin
		if strings.HasPrefix(q, "@bi") {
			q = q[3:]
			c, err = lib.Connect([]string{"--path=" + dir + "/store", "--readonly=1", "--max_threads=1"})
			if err != nil {
				panic(err)
			}
			if _, _, err := c.Query("SET ROLE bi", "TSV", nil); err != nil {
				fmt.Println("SETROLE", err)
			}
		}
		class, n, _ := c.Classify(q, "")
		b, _, err := c.Query(q, "TSV", nil)
		fmt.Printf("> %s\n   class %d n %d\n", q, class, n)
		if err != nil {
			e := err.Error()
			if len(e) > 400 {
				e = e[:400]
			}
			fmt.Println("   ERR", e)
		} else {
			o := string(b)
			if len(o) > 2500 {
				o = o[:2500]
			}
			fmt.Print("   ", strings.ReplaceAll(o, "\n", "\n   "), "\n")
		}
		if c != admin {
			c.Close()
		}
	}
}
