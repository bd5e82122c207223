package deps

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const ours = "github.com/bungee-xr/bungee/"

// levels of our packages, the longest prefix counts. A new package needs a line
// here: where it belongs should be thought of before what it imports.
var levels = map[string]int{
	"internal/wire":                     2,
	"internal/abi":                      0,
	"internal/cgroup":                   0,
	"internal/cli":                      0,
	"internal/radio":                    0,
	"hostfunc/nn/catalog/internal/tfjs": 0,
	"internal/deps":                     0,
	"internal/readme":                   0,
	"offload/pack":                      0,
	"offload/guest":                     1,
	"hostfunc/nn":                       0,
	"handler/ue/notifier":               0,
	"internal/identity":                 3,
	"offload":                           1,
	"executor":                          1,
	"executor/internal/guest":           2,
	"executor/internal/guest/guesttest": 3,
	"capability":                        0,
	"executor/internal/instrument":      0,
	"hostfunc/egress":                   0,
	"hostfunc/scratch":                  0,
	"executor/wasi":                     2,
	"executor/native":                   3,
	"internal/route":                    2,
	"offload/codegen":                   3,
	"internal/link":                     4,
	"internal/far/native":               6,
	"internal/far":                      5,
	"elastic":                           4,
	"internal/control":                  5,
	"executor/wasmtime":                 3,
	"executor/wazero":                   3,
	"executor/enginetest":               3,

	"executor/enginetest/kernels":       2,
	"executor/enginetest/kernels/sobel": 1,
	"executor/enginetest/determinism":   3,

	"hostfunc/egress/host":             2,
	"executor/internal/wattest":        0,
	"hostfunc/egress/internal/tcptest": 0,
	"hostfunc/scratch/host":            2,

	"hostfunc/nn/model":         1,
	"hostfunc/nn/nntest":        1,
	"hostfunc/nn/host":          2,
	"hostfunc/nn/share":         2,
	"hostfunc/nn/onnx":          2,
	"hostfunc/nn/opencv":        2,
	"hostfunc/nn/catalog":       3,
	"handler/host":              6,
	"handler/ue":                6,
	"cmd":                       9,
	"tools":                     9,
	"examples":                  9,
	"lab/internal":              8,
	"lab/internal/bench/marked": 7,
	"lab":                       9,
}

type pkg struct {
	ImportPath           string
	Imports, TestImports []string
	XTestImports, Deps   []string
}

func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports,Deps"}, args...)...)
	cmd.Dir = "../.."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// level returns the level of one of our packages, false where it has none.
func level(path string) (int, bool) {
	for name := strings.TrimPrefix(path, ours); ; {
		if l, ok := levels[name]; ok {
			return l, true
		}
		i := strings.LastIndexByte(name, '/')
		if i < 0 {
			return 0, false
		}
		name = name[:i]
	}
}

func TestArrowsPointDown(t *testing.T) {
	for _, p := range list(t, "-tags", "opencv", "./...") {
		from, ok := level(p.ImportPath)
		if !ok {
			t.Errorf("%s has no level: add it to the table", p.ImportPath)
			continue
		}
		for _, imp := range p.Imports {
			if !strings.HasPrefix(imp, ours) {
				continue
			}
			if to, _ := level(imp); to >= from && !sameRoom(p.ImportPath, imp) {
				t.Errorf("%s (level %d) imports %s (level %d)", p.ImportPath, from, imp, to)
			}
		}
	}
}

// sameRoom says whether two packages are parts of one command or tool.
func sameRoom(a, b string) bool {
	room := func(path string) string {
		parts := strings.SplitN(strings.TrimPrefix(path, ours), "/", 3)
		return strings.Join(parts[:min(2, len(parts))], "/")
	}
	return strings.HasPrefix(room(a), "cmd/") && room(a) == room(b)
}

// What an application links or downloads must stay small and free of cgo. A test's
// imports count, too: "go mod tidy" of an application follows them.
func TestUESideIsPure(t *testing.T) {
	cgo := map[string]string{
		"wasmtime": "68 MB of static library on a headset",
		"gocv.io":  "needs OpenCV on the build machine",
	}
	runtimes := map[string]string{
		"wazero":           "the UE runs native code",
		"gonum.org":        "plots are the demo's",
		ours + "executor/": "the UE has no executor",
	}
	for _, p := range list(t, "./offload/...", "./elastic/...", "./handler/ue/...") {
		refuse(t, p.ImportPath, p.Deps, cgo)
		refuse(t, p.ImportPath, p.Deps, runtimes)
		refuse(t, p.ImportPath+"'s tests", slices.Concat(p.TestImports, p.XTestImports), cgo)
	}
}

func refuse(t *testing.T, who string, imports []string, forbidden map[string]string) {
	t.Helper()
	for _, imp := range imports {
		for name, why := range forbidden {
			if strings.Contains(imp, name) {
				t.Errorf("%s: %s: %s", who, imp, why)
			}
		}
	}
}

// The guest's own packages stay small: no fmt, no msgpack, no reflection.
func TestGuestSideIsSmall(t *testing.T) {
	for _, p := range list(t, "./offload", "./offload/pack", "./hostfunc/nn") {
		for _, imp := range p.Imports {
			if slices.Contains([]string{"fmt", "reflect", "encoding/json"}, imp) || strings.Contains(imp, "msgpack") {
				t.Errorf("%s imports %s, which every guest would link", p.ImportPath, imp)
			}
		}
	}
}

// "make test" and so CI set BUNGEE_RACE: there the race detector must be on.
func TestRaceDetectorIsOn(t *testing.T) {
	if os.Getenv("BUNGEE_RACE") == "" {
		t.Skip(`only "make test" promises the race detector; run that`)
	}
	if !raceDetector {
		t.Error("the race detector is off")
	}
}
