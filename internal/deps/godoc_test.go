package deps

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// goDoc finds the "go doc" lines of a document.
var goDoc = regexp.MustCompile("`(go doc [^`]*)`|(?m:^(go doc .*)$)")

// TestGoDocLines runs each "go doc" line of the documents as it is printed, in a checkout.
func TestGoDocLines(t *testing.T) {
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range append(files, "../../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range goDoc.FindAllStringSubmatch(string(text), -1) {
			seen++
			args := strings.Fields(m[1] + m[2])
			cmd := exec.Command(args[0], args[1:]...)
			cmd.Dir = "../.."
			if out, err := cmd.CombinedOutput(); err != nil || len(out) == 0 {
				t.Errorf("%s: %q: %v: %s", file, args, err, out)
			}
		}
	}
	if seen == 0 {
		t.Error(`no document has a "go doc" line`)
	}
	t.Logf("%d lines", seen)
}
