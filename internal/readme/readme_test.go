package readme

import (
	"bytes"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// notRun are the commands of README.md that no test here runs, and why.
var notRun = map[string]string{
	"git clone https://github.com/bungee-xr/bungee && cd bungee": "this is the tree",
	"make demo": "takes minutes, and wants OpenCV, a model and a video",
	"go install github.com/bungee-xr/bungee/cmd/bungee@latest": "the build of this tree makes it; needs a C compiler",
	"bungee host": "takes a port of the machine's; the tests of cmd/bungee start it",
	"bungee up":   "likewise",
	"go run ./examples/hello -manager 127.0.0.1:4434": "wants bungee up; TestUp of cmd/bungee does it with another program",
	"bungee ls": "likewise",
}

// A block is a fenced block of a document.
type block struct {
	mark string // the comment before it, what is between <!-- and -->
	lang string
	text string
}

var fenced = regexp.MustCompile("(?m)^(?:<!-- (.+) -->\n)?```(.*)\n((?s:.*?))^```$")

func blocks(t *testing.T, file string) []block {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	for _, m := range fenced.FindAllStringSubmatch(string(text), -1) {
		all = append(all, block{mark: m[1], lang: m[2], text: m[3]})
	}
	return all
}

// marked returns the text of the one block with that mark.
func marked(t *testing.T, all []block, mark string) string {
	t.Helper()
	i := slices.IndexFunc(all, func(b block) bool { return b.mark == mark })
	if i < 0 {
		t.Fatalf("README.md has no block after a line <!-- %s -->", mark)
	}
	return all[i].text
}

// Each program and each command of README.md is tested, or said here not to be.
func TestBlocksAreTested(t *testing.T) {
	for _, b := range blocks(t, "README.md") {
		switch {
		case b.lang == "go" && !strings.HasPrefix(b.mark, "file: "):
			t.Errorf("a Go program without a line <!-- file: NAME --> before it:\n%s", b.text)
		case b.lang == "go":
			if formatted, err := format.Source([]byte(b.text)); err != nil || string(formatted) != b.text {
				t.Errorf("%s is not gofmt-ed (%v)", b.mark, err)
			}
		case b.lang == "sh" && b.mark != "run":
			for line := range strings.Lines(b.text) {
				line, _, _ = strings.Cut(line, " #")
				if line = strings.TrimSpace(line); line != "" && notRun[line] == "" {
					t.Errorf("%q is neither run nor in notRun with the reason", line)
				}
			}
		}
	}
}

// The smallest program, in a new module, does what README.md prints; with the
// other programs beside it, it compiles.
func TestCommands(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program and its Wasm modules from nothing; go test ./internal/readme")
	}
	u := newUser(t)
	all := blocks(t, "README.md")
	u.write("main.go", marked(t, all, "file: main.go"))
	if diff := cmp.Diff(marked(t, all, "prints"), u.sh(marked(t, all, "run"))); diff != "" {
		t.Errorf("README.md prints (-), its commands print (+):\n%s", diff)
	}
	u.light()

	u.write("tracker.go", marked(t, all, "file: tracker.go"))
	u.sh("go generate && go vet .")
	u.light()
}

// A user is somebody who begins with a new module.
type user struct {
	t   *testing.T
	dir string
	env []string
}

// newUser returns a user who gets our module from the tree and all others from
// the module cache of whoever runs the test, or from where he gets them.
func newUser(t *testing.T) *user {
	goenv := func(name string) string {
		out, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	home := t.TempDir()
	cached := "file://" + filepath.ToSlash(filepath.Join(goenv("GOMODCACHE"), "cache", "download"))
	return &user{t, t.TempDir(), append(os.Environ(),
		"HOME="+home, "XDG_CONFIG_HOME="+home, // no certificates of an edge host
		"GOPROXY=file://"+filepath.ToSlash(proxy(t))+","+cached+","+goenv("GOPROXY"),
		"GOMODCACHE="+filepath.Join(home, "mod"),
		"GOCACHE="+goenv("GOCACHE"),
		"GONOPROXY=none", "GOSUMDB=off", // nobody has published this tree; go.sum holds the others
		"GOFLAGS=-modcacherw -trimpath", // can be deleted; compiles once for all temporary folders
		"GOWORK=off",
	)}
}

func (u *user) write(name, text string) {
	u.t.Helper()
	if err := os.WriteFile(filepath.Join(u.dir, name), []byte(text), 0o644); err != nil {
		u.t.Fatal(err)
	}
}

// sh runs the lines of a script and returns what they print.
func (u *user) sh(script string) string {
	u.t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(u.t.Context(), "sh", "-eu", "-c", script)
	cmd.Dir, cmd.Env, cmd.Stderr = u.dir, u.env, &stderr
	out, err := cmd.Output()
	if err != nil {
		u.t.Fatalf("%v of\n%s\nwhich printed\n%s%s", err, script, out, &stderr)
	}
	return string(out)
}

// light checks that the user neither compiles nor downloads what only edge hosts
// and our own tests need.
func (u *user) light() {
	u.t.Helper()
	heavy := regexp.MustCompile(`wasmtime|wazero|gocv|onnxruntime|gonum|grpc|prometheus|cobra|chromedp`)
	sum, err := os.ReadFile(filepath.Join(u.dir, "go.sum"))
	if err != nil {
		u.t.Fatal(err)
	}
	for what, text := range map[string]string{
		"compiles": u.sh("go list -deps ."),
		"requires": u.sh("go mod edit -print"),
		"has sums": string(sum),
	} {
		for line := range strings.Lines(text) {
			if heavy.MatchString(line) {
				u.t.Errorf("the user's module %s %s", what, line)
			}
		}
	}
}
