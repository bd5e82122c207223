package readme

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// elsewhere are beginnings of what looks like a path of ours, and is none: what
// runs leave behind; protocols, and folders of users.
var elsewhere = regexp.MustCompile(`^(out|bungee)/`)

var (
	code = regexp.MustCompile("`([^`\n]+)`")
	link = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	// ourPath is ./a, a/b, a/b/ and a/b.Name, where all but the last part is in lower case.
	ourPath = regexp.MustCompile(`^(?:\./|` + regexp.QuoteMeta(module) + `/)?([a-z][a-z0-9_.-]*(?:/[A-Za-z0-9_.-]+)*/?)$`)
	memory  = regexp.MustCompile(`\bDESIGN\b|(?i)\bissue \d`)
)

func exists(name string) bool {
	_, err := os.Stat(filepath.Join(root, filepath.FromSlash(name)))
	return err == nil
}

// What documents name is there: paths and packages of ours, the targets of make,
// the commands of bungee. And they cite nothing that a reader does not have.
func TestNamesAreThere(t *testing.T) {
	commands, targets := commandNames(t), makeTargets(t)
	for _, doc := range pages(t) {
		text, err := os.ReadFile(filepath.Join(root, doc))
		if err != nil {
			t.Fatal(err)
		}
		for n, line := range strings.Split(fenced.ReplaceAllStringFunc(string(text), blank), "\n") {
			complain := func(format, what string) { t.Errorf("%s:%d: "+format, doc, n+1, what) }
			if cited := memory.FindString(line); cited != "" {
				complain("cites %q, which is not in the repository", cited)
			}
			for _, m := range link.FindAllStringSubmatch(line, -1) {
				if !exists(path.Join(path.Dir(doc), m[1])) {
					complain("there is no file %s to link to", m[1])
				}
			}
			for _, m := range code.FindAllStringSubmatch(line, -1) {
				words := strings.Fields(m[1])
				for _, w := range words {
					if !there(w) {
						complain("there is no %s", w)
					}
				}
				if len(words) < 2 || strings.HasPrefix(words[1], "-") {
					continue
				}
				if words[0] == "make" && !slices.Contains(targets, words[1]) {
					complain("make has no target %s", words[1])
				}
				if words[0] == "bungee" && !slices.Contains(commands, words[1]) {
					complain("bungee has no command %s", words[1])
				}
			}
		}
	}
}

// blank returns as many lines as b has, with nothing in them.
func blank(b string) string { return strings.Repeat("\n", strings.Count(b, "\n")) }

// there says whether word is no path of ours, or one that exists, perhaps with a
// name that the package declares.
func there(word string) bool {
	m := ourPath.FindStringSubmatch(word)
	if m == nil || !strings.Contains(word, "/") || elsewhere.MatchString(word) {
		return true
	}
	name := strings.TrimSuffix(m[1], "/...")
	if exists(name) {
		return true
	}
	dot := strings.LastIndexByte(name, '.')
	return dot > 0 && dot+1 < len(name) && name[dot+1] >= 'A' && name[dot+1] <= 'Z' && exists(name[:dot])
}

// makeTargets returns the targets of the Makefile.
func makeTargets(t *testing.T) (names []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^([a-z0-9]+):`).FindAllStringSubmatch(string(text), -1) {
		names = append(names, m[1])
	}
	return names
}

// commandNames returns the commands of bungee, and theirs, as the sources declare
// them.
func commandNames(t *testing.T) (names []string) {
	t.Helper()
	cmd := exec.Command("git", "grep", "-hoE", `Use: +"[a-z0-9]+`, "--", "*.go")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("git grep: %v; in a clone with git installed: go test ./internal/readme", err)
	}
	for line := range strings.Lines(string(out)) {
		_, name, _ := strings.Cut(strings.TrimSpace(line), `"`)
		names = append(names, name)
	}
	return names
}
