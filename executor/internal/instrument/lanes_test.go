package instrument_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	wz "github.com/tetratelabs/wazero"

	"github.com/bungee-xr/bungee/executor/internal/instrument"
)

// TestLanes checks NaNs that are taken as lanes of another type, where they are numbers.
func TestLanes(t *testing.T) {
	want := map[string]uint64{
		"add": 0x7fc000007fc00000, "less": 0, "truncate": 0x7fffffff7fffffff, "kept": 0x7fc000007fc00000,
		"first": 0x7fc0000000000000, "second": 0x7fc0000000000000,
	}
	g := start(t, runtime(t), rewrite(t, file(t, "lanes"), instrument.Options{CanonicalNaN: true}))
	for name, want := range want {
		if got := g.bits(name); got != want {
			t.Errorf("%s: got %#x, want %#x", name, got, want)
		}
	}
}

// TestLaneMix checks each instruction that computes a NaN in a vector, with a sum of the
// other lane type behind it. Its operands are NaNs in all lanes, of some signs and payloads.
func TestLaneMix(t *testing.T) {
	nans := map[string][]uint64{
		"f32x4.": {0x7fc000007fc00000, 0xffc00000ffc00000, 0xff812345_7fffffff},
		"f64x2.": {canonical64, 0xfff8000000000000, 0x7ff8000041000000, 0xffffffffffffffff},
	}
	wants := map[string][2]uint64{
		"f32x4.": {0x7fc000007fc00000, 0x7fc000007fc00000}, "f64x2.": {0x7fc0000000000000, 0x7fc0000000000000},
		"f32x4.demote_f64x2_zero": {0x7fc000007fc00000, 0},
	}
	takes := map[string]string{"f32x4.demote_f64x2_zero": "f64x2.", "f64x2.promote_low_f32x4": "f32x4."}
	g := start(t, runtime(t), rewrite(t, file(t, "lanemix"), instrument.Options{CanonicalNaN: true}))
	for name, f := range g.module.ExportedFunctionDefinitions() {
		lane := name[:len("f32x4.")]
		want, ok := wants[name]
		if !ok {
			want = wants[lane]
		}
		if takes[name] != "" {
			lane = takes[name]
		}
		for _, a := range nans[lane] {
			args := slices.Repeat([]uint64{a}, len(f.ParamTypes()))
			got, err := g.module.ExportedFunction(name).Call(t.Context(), args...)
			if err != nil || [2]uint64(got) != want {
				t.Errorf("%s of %#x: got %#x, %v; want %#x", name, a, got, err, want)
			}
		}
	}
}

// A consumer is a vector instruction that takes a vector, in one of its places.
type consumer struct {
	code   string // its own
	before int    // vectors in front of that
	behind string // code of the operands behind it
	shows  string // code that makes a vector of the result
}

// Code that loads an operand.
const (
	loadA = "\x41\x10\xfd\x00\x00\x00"
	loadB = "\x41\x20\xfd\x00\x00\x00"
	loadC = "\x41\x30\xfd\x00\x00\x00"
)

// body returns a function that computes a vector by the code of maker, which has one operand
// or two, gives it to c, and stores the result at 0. Where apart is set, a local is between
// the two, so that a NaN is made canonical whatever takes it.
func (c consumer) body(maker maker, apart bool) string {
	b := "\x01\x01\x7b\x41\x00" + strings.Repeat(loadC, c.before) + loadA
	if !maker.unary {
		b += loadB
	}
	b += maker.code
	if apart {
		b += "\x21\x00\x20\x00"
	}
	return b + c.behind + c.code + c.shows + "\xfd\x0b\x00\x00\x0b"
}

// A maker is an instruction that computes a NaN in a vector.
type maker struct {
	code  string
	unary bool
}

func vectorOp(code int) string { return string(binary.AppendUvarint([]byte{0xfd}, uint64(code))) }

func makers() (all []maker) {
	for _, code := range []int{0x67, 0x68, 0x69, 0x6a, 0xe3, 0x74, 0x75, 0x7a, 0x94, 0xef, 0x5e, 0x5f} {
		all = append(all, maker{vectorOp(code), true})
	}
	for _, code := range []int{0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5} {
		all = append(all, maker{vectorOp(code), false})
	}
	return all
}

// consumers returns all of them. What an instruction takes and leaves is what is valid.
func consumers(valid func(consumer) bool) (all []consumer) {
	behind := []string{"", loadC, loadC + loadC, "\x41\x05", "\x42\x05", "\x43\x00\x00\x80\x3f", "\x44\x00\x00\x00\x00\x00\x00\xf0\x3f"}
	shows := []string{"", vectorOp(0x11), vectorOp(0x12), vectorOp(0x13), vectorOp(0x14)} // of v128, i32, i64, f32, f64
	shuffle := "\x1f\x00\x11\x02\x04\x06\x1e\x10\x01\x01\x09\x08\x19\x18\x0f\x0f"
	for code := 0x0d; code < 0x100; code++ {
		if code >= 0x54 && code <= 0x5d { // loads and stores
			continue
		}
		found := len(all)
		for _, immediate := range []string{"", "\x01", shuffle} {
			for k := range 3 * len(behind) * len(shows) {
				c := consumer{vectorOp(code) + immediate, k % 3, behind[k/3%len(behind)], shows[k/3/len(behind)]}
				if len(all)-found < 3 && valid(c) {
					all = append(all, c)
				}
			}
			if len(all) > found {
				break
			}
		}
	}
	return all
}

// functions returns a module with a page of memory and functions "0", "1" and so on.
func functions(bodies []string) []byte {
	var types, exports, code []byte
	for k, b := range bodies {
		types = append(types, 0)
		name := fmt.Sprint(k)
		exports = append(exports, byte(len(name)))
		exports = binary.AppendUvarint(append(append(exports, name...), 0), uint64(k))
		code = append(binary.AppendUvarint(code, uint64(len(b))), b...)
	}
	wasm := []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00")
	count := binary.AppendUvarint(nil, uint64(len(bodies)))
	memory := binary.AppendUvarint(nil, uint64(len(bodies)+1))
	for _, s := range []struct {
		id   byte
		body []byte
	}{
		{3, slices.Concat(count, types)}, {5, []byte{1, 0, 1}},
		{7, slices.Concat(memory, []byte("\x06memory\x02\x00"), exports)}, {10, slices.Concat(count, code)},
	} {
		wasm = binary.AppendUvarint(append(wasm, s.id), uint64(len(s.body)))
		wasm = append(wasm, s.body...)
	}
	return wasm
}

// TestLanePairs checks that each vector instruction gives the same on the result of each
// one that computes a NaN, directly, as when that NaN was made canonical before.
func TestLanePairs(t *testing.T) {
	r := wz.NewRuntimeWithConfig(t.Context(), wz.NewRuntimeConfigInterpreter())
	defer r.Close(context.Background())
	all := consumers(func(c consumer) bool {
		m, err := r.CompileModule(t.Context(), functions([]string{c.body(makers()[0], false)}))
		if err == nil {
			m.Close(t.Context())
		}
		return err == nil
	})
	if len(all) < 330 { // 200 instructions, most of them with two operands
		t.Errorf("%d places of operands of vector instructions; want all that there are", len(all))
	}
	for _, m := range makers() {
		var bodies []string
		for _, c := range all {
			bodies = append(bodies, c.body(m, false), c.body(m, true))
		}
		g := start(t, r, rewrite(t, functions(bodies), instrument.Options{CanonicalNaN: true}))
		for k := range all {
			for _, operands := range lanes {
				got, want := g.lanes(2*k, operands), g.lanes(2*k+1, operands)
				if got != want {
					t.Fatalf("%x then %x of %#x: got %x, want %x", m.code, all[k].code, operands, got, want)
				}
			}
		}
	}
}

// lanes are operands: the two halves of each of three vectors, with zeros for 0/0, and NaNs
// of f32 and of f64 whose other reading is a number.
var lanes = [][6]uint64{
	{0, 0, 0, 0, 0, 0},
	{0xff812345_7fffffff, 0xffc00000_3f800000, 0x7fa00001_00000000, 0x7f800000_ff800000, 1 << 63, 0x3ff0000000000000},
	{0x7ff8000040000000, 0xfff0000000000000, 0x7ff8000041000000, 0x7ff0000000000000, 0x41000000_c1000000, 0x4010000000000000},
}

// lanes runs function k on operands and returns its result.
func (g guest) lanes(k int, operands [6]uint64) [16]byte {
	g.t.Helper()
	memory := g.memory()
	if _, err := binary.Encode(memory[16:], binary.LittleEndian, operands); err != nil {
		g.t.Fatal(err)
	}
	if _, err := g.module.ExportedFunction(fmt.Sprint(k)).Call(g.t.Context()); err != nil {
		g.t.Fatal(err)
	}
	return [16]byte(memory)
}
