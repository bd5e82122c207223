package instrument_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	wz "github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/bungee-xr/bungee/executor/internal/instrument"
)

// A command is one of the specification's tests, as wast2json writes them.
type command struct {
	Type     string
	Line     int
	Name, As string
	Filename string
	Action   struct {
		Type, Module, Field string
		Args                []struct {
			Type  string
			Value json.RawMessage
		}
	}
}

// specTests returns the folder of the specification's tests, which wazero carries.
func specTests(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	dir := filepath.Join(strings.TrimSpace(string(out)), "internal/integration_test/spectest")
	if err == nil {
		_, err = os.Stat(dir)
	}
	if err != nil {
		t.Skipf("no WebAssembly specification tests: %v; they come with wazero's module: go mod download, then go test -run Spec ./executor/internal/instrument", err)
	}
	return dir
}

// TestSpec runs the tests of WebAssembly 2.0 on rewritten modules. What is valid
// stays so, what is not, too, and each call returns or traps as on the module as it
// came, but that a NaN may be another NaN.
func TestSpec(t *testing.T) {
	dir := specTests(t)
	files, err := filepath.Glob(filepath.Join(dir, "v2/testdata/*.json"))
	if err != nil || len(files) < 100 {
		t.Fatalf("found %d files, %v", len(files), err)
	}
	calls := 0
	for _, f := range files {
		s := newSpec(t, dir, all)
		s.file(f)
		calls += s.calls
	}
	if calls < 20_000 {
		t.Errorf("compared %d calls; want the more than 20,000 that there are", calls)
	}
}

// A spec runs one file of tests, on modules as they came and on rewritten ones.
type spec struct {
	t       *testing.T
	options instrument.Options
	sides   [2]wz.Runtime
	last    [2]api.Module
	named   map[string][2]api.Module
	calls   int
}

func newSpec(t *testing.T, dir string, options instrument.Options) *spec {
	s := &spec{t: t, options: options, named: map[string][2]api.Module{}}
	host, err := os.ReadFile(filepath.Join(dir, "testdata/spectest.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.sides {
		s.sides[i] = wz.NewRuntimeWithConfig(t.Context(), wz.NewRuntimeConfigInterpreter())
		if _, err := s.sides[i].Instantiate(t.Context(), host); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *spec) file(path string) {
	defer s.sides[0].Close(context.Background())
	defer s.sides[1].Close(context.Background())
	b, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	var tests struct{ Commands []command }
	if err := json.Unmarshal(b, &tests); err != nil {
		s.t.Fatalf("%s: %v", path, err)
	}
	for _, c := range tests.Commands {
		where := fmt.Sprintf("%s:%d", filepath.Base(path), c.Line)
		switch {
		case c.Type == "register":
			s.register(c)
		case strings.HasSuffix(c.Filename, ".wasm"):
			s.module(where, c, filepath.Join(filepath.Dir(path), c.Filename))
		case c.Action.Type == "invoke":
			s.invoke(where, c)
		}
	}
}

// module makes instances of a module and of what Rewrite makes of it.
func (s *spec) module(where string, c command, path string) {
	wasm, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	rewritten, err := instrument.Rewrite(wasm, s.options)
	valid := c.Type != "assert_malformed" && c.Type != "assert_invalid"
	if err != nil {
		if valid || !errors.Is(err, instrument.ErrModule) {
			s.t.Errorf("%s: %s: %v", where, c.Type, err)
		}
		return
	}
	s.last = [2]api.Module{}
	var errs [2]error
	for i, b := range [][]byte{wasm, rewritten} {
		s.last[i], errs[i] = s.sides[i].InstantiateWithConfig(s.t.Context(), b, wz.NewModuleConfig().WithName(c.Name))
	}
	if (errs[0] == nil) != (errs[1] == nil) {
		s.t.Errorf("%s: %s: as it came: %v; rewritten: %v", where, c.Type, errs[0], errs[1])
	}
	if c.Name != "" {
		s.named[c.Name] = s.last
	}
}

// register gives the last module another name, under which it is imported. wazero
// cannot, so tests of such modules compare two errors.
func (s *spec) register(command) {}

func (s *spec) invoke(where string, c command) {
	on := s.last
	if c.Action.Module != "" {
		on = s.named[c.Action.Module]
	}
	if on[0] == nil || on[1] == nil || c.Type == "assert_exhaustion" {
		return
	}
	args, ok := c.args()
	if !ok {
		return
	}
	var results [2][]uint64
	var errs [2]error
	f := on[0].ExportedFunction(c.Action.Field)
	if f == nil {
		return
	}
	results[0], errs[0] = f.Call(s.t.Context(), args...)
	results[1], errs[1] = on[1].ExportedFunction(c.Action.Field).Call(s.t.Context(), args...)
	s.calls++
	if (errs[0] == nil) != (errs[1] == nil) {
		s.t.Errorf("%s: %s%v: as it came: %v; rewritten: %v", where, c.Action.Field, args, errs[0], errs[1])
		return
	}
	if !s.same(f.Definition().ResultTypes(), results[0], results[1]) {
		s.t.Errorf("%s: %s%v: as it came: %x; rewritten: %x", where, c.Action.Field, args, results[0], results[1])
	}
}

// args returns the arguments as wazero takes them.
func (c command) args() (args []uint64, ok bool) {
	for _, a := range c.Action.Args {
		var text string
		if json.Unmarshal(a.Value, &text) != nil {
			words, ok := vector(a.Value)
			if !ok {
				return nil, false
			}
			args = append(args, words...)
			continue
		}
		v, err := strconv.ParseUint(text, 10, 64)
		if err != nil { // a null reference, or "nan:canonical"
			return nil, false
		}
		args = append(args, v)
	}
	return args, true
}

// vector returns the two halves of a v128, whose lanes are decimal texts.
func vector(value json.RawMessage) ([]uint64, bool) {
	var lanes []string
	if json.Unmarshal(value, &lanes) != nil || len(lanes) == 0 {
		return nil, false
	}
	bits := 128 / len(lanes)
	var words [2]uint64
	for i, text := range lanes {
		v, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, false
		}
		words[i*bits/64] |= v << (i * bits % 64)
	}
	return words[:], true
}

// same compares results. Where NaNs are made canonical, those are equal to all others.
func (s *spec) same(types []api.ValueType, a, b []uint64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		switch {
		case a[i] == b[i]:
		case types[min(i, len(types)-1)] == api.ValueTypeExternref, types[min(i, len(types)-1)] == funcref:
			if a[i] == 0 || b[i] == 0 {
				return false
			}
		case !s.options.CanonicalNaN:
			return false
		case b[i] == 0x7ff8_0000_0000_0000 && math.IsNaN(math.Float64frombits(a[i])):
		case sameHalf(uint32(a[i]), uint32(b[i])) && sameHalf(uint32(a[i]>>32), uint32(b[i]>>32)):
		default:
			return false
		}
	}
	return true
}

// funcref is the type of references to functions, which differ between instances.
const funcref = 0x70

// sameHalf compares two f32.
func sameHalf(a, b uint32) bool {
	return a == b || b == 0x7fc0_0000 && a&0x7f80_0000 == 0x7f80_0000 && a&0x007f_ffff != 0
}
