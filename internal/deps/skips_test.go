package deps

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// saysHow matches the source of a skip that says how the test is run where it can be: a command, or what holds one.
var saysHow = regexp.MustCompile(`go test|make |how`)

// A test that skips says why, and the command that runs it: who reads "SKIP" in a log knows what to do.
func TestSkipsSayHowToRun(t *testing.T) {
	var skips int
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", "bin", "node_modules", "out", "testdata"}, d.Name()):
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, path, source, 0)
		if err != nil {
			return err
		}
		for _, call := range skipsIn(f) {
			skips++
			from, to := files.Position(call.Pos()), files.Position(call.End())
			if text := string(source[from.Offset:to.Offset]); !saysHow.MatchString(text) {
				t.Errorf("%s:%d: %s; want the command that runs it, too", path, from.Line, text)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if skips < 20 {
		t.Errorf("there are %d skips; were they looked for?", skips)
	}
}

// skipsIn returns the calls of Skip, Skipf and SkipNow of a test or a benchmark.
func skipsIn(f *ast.File) (all []*ast.CallExpr) {
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if s, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, s.Sel.Name) {
			if x, ok := s.X.(*ast.Ident); ok && slices.Contains([]string{"t", "b", "tb", "f"}, x.Name) {
				all = append(all, call)
			}
		}
		return true
	})
	return all
}
