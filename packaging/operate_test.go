package packaging

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// What docs/operate.md says that logs say, the sources say.
func TestSymptomsAreSaid(t *testing.T) {
	text, err := os.ReadFile("../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("git", "grep", "-h", "--untracked", `"`, "--", "*.go", ":!*_test.go")
	cmd.Dir = root
	sources, err := cmd.Output()
	if err != nil {
		t.Skipf("git grep: %v; in a clone with git installed: go test ./packaging", err)
	}
	n := 0
	for _, table := range strings.Split(string(text), "<!-- symptoms -->\n")[1:] {
		table, _, _ = strings.Cut(table, "\n\n")
		for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(table, -1) {
			n++
			if !strings.Contains(string(sources), `"`+m[1]) && !strings.Contains(string(sources), m[1]+`"`) {
				t.Errorf("no program says %q", m[1])
			}
		}
	}
	if n < 15 {
		t.Errorf("%d symptoms only: are the tables where they were?", n)
	}
}
