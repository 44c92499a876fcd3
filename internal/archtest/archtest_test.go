package archtest

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type listed struct {
	ImportPath string
	Dir        string
	Doc        string
	GoFiles    []string
	Imports    []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,Doc,GoFiles,Imports", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var p listed
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("go list shows %d packages; the test looks at the wrong place", len(all))
	}
	return all
}

// under says whether pkg is what pattern means: itself, or below its "/...".
func under(pattern, pkg string) bool {
	if pattern == "..." {
		return true
	}
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == tree || strings.HasPrefix(pkg, tree+"/")
	}
	return pattern == pkg
}

// ruleOf is the most exact rule for pkg.
func ruleOf(pkg string) (allowed []string, ok bool) {
	best := -1
	for pattern, list := range mayImport {
		if under(pattern, pkg) && len(pattern) > best {
			best, allowed, ok = len(pattern), list, true
		}
		if pattern == pkg {
			return list, true
		}
	}
	return allowed, ok
}

func TestImportsFollowThePlan(t *testing.T) {
	for _, p := range packages(t) {
		pkg := strings.TrimPrefix(p.ImportPath, module)
		allowed, ok := ruleOf(pkg)
		if !ok {
			t.Errorf("%s has no rule: is it in the right room? Then add it to mayImport.", pkg)
			continue
		}
		for _, imported := range p.Imports {
			other, ours := strings.CutPrefix(imported, module)
			if !ours || under(pkg+"/...", other) || under(other+"/...", pkg) && strings.HasPrefix(pkg, "internal/") {
				continue
			}
			if !slices.ContainsFunc(allowed, func(pattern string) bool { return under(pattern, other) }) {
				t.Errorf("%s imports %s, which the plan does not allow (allowed: %v)", pkg, other, allowed)
			}
		}
	}
}

// roomsOf says who may import an outside package: the most exact technology
// in onlyIn decides.
func roomsOf(imported string) (rooms []string, ok bool) {
	best := -1
	for technology, list := range onlyIn {
		if (imported == technology || strings.HasPrefix(imported, technology+"/")) && len(technology) > best {
			best, rooms, ok = len(technology), list, true
		}
	}
	return rooms, ok
}

func TestTechnologiesStayInTheirRoom(t *testing.T) {
	for _, p := range packages(t) {
		pkg := strings.TrimPrefix(p.ImportPath, module)
		for _, imported := range p.Imports {
			if rooms, ok := roomsOf(imported); ok {
				if !slices.ContainsFunc(rooms, func(room string) bool { return under(room+"/...", pkg) }) {
					t.Errorf("%s imports %s, which only %v may", pkg, imported, rooms)
				}
			}
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

func TestMappingIsPure(t *testing.T) {
	files, err := filepath.Glob("../../connectors/*/map*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no mapping files found (%v)", err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range parsed.Imports {
			if path := strings.Trim(spec.Path.Value, `"`); slices.Contains(pureFilesForbid, path) {
				t.Errorf("%s imports %s: mapping touches nothing", file, path)
			}
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && sel.Sel.Name == "Now" {
					t.Errorf("%s reads the clock: mapping touches nothing", file)
				}
			}
			return true
		})
	}
}
