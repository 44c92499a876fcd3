package all

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// known are the methods of each platform that OneID knows of: those of its
// simulator, and those that no simulator serves.
var known = map[string][]string{
	"douyin": {"pigeon.workOrderNotify", "order.getUserOrderList", "order.searchByReceiver", "record_logs_list", "arbitrate_info", "飞鸽",
		"security.batchReportOrderSecurityEvent", "order.ordeReportList"},
	"tmall": {
		"tmall.servicecenter.workcard.querybyseller", "taobao.jushita.jdp.user.add", "taobao.traderates.get", "taobao.wangwang.eservice.chatpeers.get",
		"taobao.opensecurity.isv.uid.get", "taobao.top.oaid.client.decrypt", "taobao.user.openuid.getbynick", "taobao.refund.status.get",
	},
	"weidian": {"vdian.crm.queryCustomerInfo", "buyers_complaints"},
}

var servedMethod = regexp.MustCompile(`(?m)^\t+"([a-zA-Z]+\.[a-zA-Z.]+)(?: \d\.\d)?":`)

// A connector's README says of each method that is known and that the connector
// never calls that it is not read.
func TestReadmesNameWhatIsNotRead(t *testing.T) {
	read := func(pattern string) string {
		files, err := filepath.Glob(pattern)
		if err != nil || files == nil {
			t.Fatalf("%s: %v", pattern, err)
		}
		var text strings.Builder
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text.Write(raw)
		}
		return text.String()
	}
	for platform, methods := range known {
		served := servedMethod.FindAllStringSubmatch(read(filepath.Join("..", "simulator", platform+".go")), -1)
		if len(served) < 10 {
			t.Errorf("%s: the simulator serves %d methods: the test tests nothing", platform, len(served))
		}
		for _, match := range served {
			methods = append(methods, match[1])
		}
		slices.Sort(methods)
		calls, readme := read(filepath.Join("..", platform, "*.go")), read(filepath.Join("..", platform, "README.md"))
		for _, method := range slices.Compact(methods) {
			if !strings.Contains(calls, `"`+method+`"`) && !strings.Contains(readme, method) {
				t.Errorf("connectors/%s calls no %s, and its README does not say so", platform, method)
			}
		}
	}
}
