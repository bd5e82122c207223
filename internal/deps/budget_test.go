package deps

import (
	"bytes"
	"cmp"
	"fmt"
	"go/scanner"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

// maxPackages is how many packages an edge host's program may be made of. It needs 387 of
// them, 24 for the UE and its device in "bungee doctor", 18 for the manager, its store and its leases, and 2 to announce it; plots and their fonts would be 119 more.
const maxPackages = 387

// An edge host is a daemon: it draws nothing and measures nothing but itself.
func TestBungeeIsSmall(t *testing.T) {
	cmd := exec.Command("go", "list", "-pgo=off", "-deps", "./cmd/bungee")
	cmd.Dir = "../.."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := strings.Fields(string(out))
	if len(all) > maxPackages {
		t.Errorf("./cmd/bungee without OpenCV is made of %d packages, %d more than it may be: go list -deps ./cmd/bungee", len(all), len(all)-maxPackages)
	}
	t.Logf("%d packages; at most %d", len(all), maxPackages)
	refuse(t, "./cmd/bungee", all, map[string]string{
		"gonum.org":          "plots are the lab's and the demo's",
		"font":               "an edge host writes no text into images",
		"golang.org/x/image": "an edge host decodes images with the standard library or OpenCV",
		ours + "lab/":        "the lab is not shipped",
	})
}

// What measures and proves is not shipped, and only it and the demo draw.
func TestLabIsNotShipped(t *testing.T) {
	for _, p := range list(t, "-tags", "opencv", "./...") {
		name := strings.TrimPrefix(p.ImportPath, ours)
		imports := slices.Concat(p.Imports, p.TestImports, p.XTestImports)
		if strings.HasPrefix(name, "lab/") {
			continue
		}
		refuse(t, p.ImportPath, imports, map[string]string{ours + "lab/": "what is shipped does without the lab"})
		if name != "cmd/yolo-demo" && !strings.HasPrefix(name, "cmd/yolo-demo/") {
			refuse(t, p.ImportPath, imports, map[string]string{"gonum.org/v1/plot": "plots are the lab's and the demo's"})
		}
	}
}

// lines are those of some files.
type lines struct{ all, code, comments int }

func (l *lines) add(o lines) {
	l.all += o.all
	l.code += o.code
	l.comments += o.comments
}

// A folder is what a top-level folder ships, and the tests of it.
type folder struct{ shipped, tests lines }

const (
	maxShare    = 0.25 // of the shipped lines: a larger folder is two rooms
	minTests    = 0.9  // lines of tests to lines of code
	minComments = 0.2  // lines with a comment to lines of code

	whatIsShipped = "shipped is all Go but tests, packages that import testing, lab, examples, testdata and generated files"
)

func TestNoFolderIsTooLarge(t *testing.T) {
	folders, whole := tree(t)
	t.Log("\n" + table(folders, whole))
	for name, f := range folders {
		if most := int(maxShare * float64(whole.shipped.all)); f.shipped.all > most {
			t.Errorf("%s/ has %d of %d shipped lines, %d more than %.0f %% (%s)",
				name, f.shipped.all, whole.shipped.all, f.shipped.all-most, 100*maxShare, whatIsShipped)
		}
	}
}

func TestTestsAndCommentsAreEnough(t *testing.T) {
	folders, whole := tree(t)
	t.Logf("tests %.2f, comments %.2f of %d lines of code", whole.testShare(), whole.commentShare(), whole.shipped.code)
	least := func(share func(folder) float64) string {
		return slices.MinFunc(slices.Collect(maps.Keys(folders)), func(a, b string) int { return cmp.Compare(share(*folders[a]), share(*folders[b])) })
	}
	if got := whole.testShare(); got < minTests {
		t.Errorf("%.2f lines of tests to a line of code, want %.2f: %d are lacking, most in %s/ (%s)", got, minTests,
			int(minTests*float64(whole.shipped.code))-whole.tests.code, least(folder.testShare), whatIsShipped)
	}
	if got := whole.commentShare(); got < minComments {
		t.Errorf("%.2f lines of comments to a line of code, want %.2f: %d are lacking, most in %s/ (%s)", got, minComments,
			int(minComments*float64(whole.shipped.code))-whole.shipped.comments, least(folder.commentShare), whatIsShipped)
	}
}

func (f folder) testShare() float64 { return float64(f.tests.code) / float64(max(1, f.shipped.code)) }
func (f folder) commentShare() float64 {
	return float64(f.shipped.comments) / float64(max(1, f.shipped.code))
}

// table prints the folders, the largest first.
func table(folders map[string]*folder, whole folder) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "folder\tshipped lines\tshare\tcode\tcomments/code\ttests/code\t")
	row := func(name string, f folder) {
		fmt.Fprintf(w, "%s\t%d\t%.1f %%\t%d\t%.2f\t%.2f\t\n", name, f.shipped.all,
			100*float64(f.shipped.all)/float64(whole.shipped.all), f.shipped.code, f.commentShare(), f.testShare())
	}
	for _, name := range slices.SortedFunc(maps.Keys(folders), func(a, b string) int {
		return cmp.Compare(folders[b].shipped.all, folders[a].shipped.all)
	}) {
		row(name, *folders[name])
	}
	row("all", whole)
	w.Flush()
	return b.String()
}

// notShipped are folders whose files count nowhere.
var notShipped = []string{"lab", "examples", "bin", "out"}

// tree counts the lines of the repository's top-level folders.
func tree(t *testing.T) (folders map[string]*folder, whole folder) {
	t.Helper()
	root := os.DirFS("../..")
	folders = map[string]*folder{}
	tests := testPackages(t)
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (slices.Contains(notShipped, path) || d.Name() == "testdata" || d.Name()[0] == '.'):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		src, err := fs.ReadFile(root, path)
		if err != nil || generated.Match(src) {
			return err
		}
		top, _, _ := strings.Cut(path, "/")
		f := folders[top]
		if f == nil {
			f = &folder{}
			folders[top] = f
		}
		n := count(src)
		if strings.HasSuffix(path, "_test.go") || tests[filepath.Dir(path)] {
			f.tests.add(n)
			whole.tests.add(n)
		} else {
			f.shipped.add(n)
			whole.shipped.add(n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return folders, whole
}

// testPackages returns the folders of packages that import testing: no program links
// them.
func testPackages(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, p := range list(t, "-tags", "opencv", "./...") {
		if slices.Contains(p.Imports, "testing") {
			all[strings.TrimPrefix(p.ImportPath, ours)] = true
		}
	}
	return all
}

// generated is the line that marks a generated file.
var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// count counts the lines of a file. A line of code with a comment beside it counts as
// both.
func count(src []byte) (n lines) {
	fset := token.NewFileSet()
	file := fset.AddFile("", -1, len(src))
	code, comments := map[int]bool{}, map[int]bool{}
	var s scanner.Scanner
	s.Init(file, src, nil, scanner.ScanComments)
	for {
		pos, tok, text := s.Scan()
		if tok == token.EOF {
			break
		}
		if tok == token.SEMICOLON && text == "\n" {
			continue
		}
		first := file.Line(pos)
		for i := range 1 + strings.Count(text, "\n") {
			if tok == token.COMMENT {
				comments[first+i] = true
			} else {
				code[first+i] = true
			}
		}
	}
	return lines{bytes.Count(src, []byte("\n")), len(code), len(comments)}
}

func TestCount(t *testing.T) {
	src := "// Package p is.\npackage p\n\nvar s = `a\nb` // text\n\n/* one\ntwo */\nfunc f() {\n}\n"
	if got, want := count([]byte(src)), (lines{10, 5, 4}); got != want {
		t.Errorf("count(%q) = %+v; want %+v", src, got, want)
	}
}
