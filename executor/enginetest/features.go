package enginetest

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/executor"
)

// A feature is a module that uses one, as what it adds to a guest: to each section, by its
// identifier, elements in hexadecimal. Type 3 is () -> (), of which function 3 is, with the code.
type feature struct {
	name  string // as an error says it
	taken bool   // by hosts
	adds  map[byte]string
	code  string
}

// features are those of WebAssembly 2.0, which all engines take, and all others, which none
// takes: docs/abi.md.
var features = []feature{
	{"nothing", true, nil, ""},
	{"mutable globals", true, map[byte]string{6: "7f 01 41 00 0b", 7: "01 67 03 00"}, "41 01 24 00"},
	{"sign extension", true, nil, "41 01 c0 1a 42 01 c4 1a"},
	{"saturating conversions", true, nil, "43 00 00 80 3f fc 00 1a"},
	{"multiple values", true, map[byte]string{1: "60 00 02 7f 7f"}, "02 04 41 01 41 02 0b 1a 1a"},
	{"bulk memory", true, map[byte]string{11: "01 02 61 62"}, "41 00 41 00 41 01 fc 0b 00 41 00 41 01 41 01 fc 0a 00 00"},
	{"data segments", true, map[byte]string{12: "", 11: "01 02 61 62"}, "41 00 41 00 41 01 fc 08 00 00 fc 09 00"},
	{"reference types", true, map[byte]string{4: "6f 00 01"}, "41 00 d0 6f 26 00 d0 6f 41 01 fc 0f 00 1a 41 00 25 00 d1 1a"},
	{"element segments", true, map[byte]string{4: "70 00 01", 9: "01 00 01 03"}, "41 00 41 00 41 01 fc 0c 00 00 fc 0d 00"},
	{"several tables", true, map[byte]string{4: "70 00 01|70 00 01|70 00 01|6f 00 01"}, "41 00 41 00 41 01 fc 0e 01 02"},
	{"SIMD", true, nil, "fd 0c 00000000000000000000000000000000 fd 0c 00000000000000000000000000000000 fd ae 01 1a"},
	{"more than 4 tables", false, map[byte]string{4: "70 00 01|70 00 01|70 00 01|70 00 01|70 00 01"}, ""},
	{"extended constant expressions", false, map[byte]string{6: "7f 00 41 01 41 02 6a 0b"}, ""},
	{"threads", false, map[byte]string{5: "03 01 02"}, ""},
	{"threads", false, nil, "41 00 fe 10 02 00 1a"},
	{"relaxed SIMD", false, nil, "fd 0c 00000000000000000000000000000000 fd 0c 00000000000000000000000000000000 fd 80 02 1a"},
	{"half precision", false, nil, "43 00 00 80 3f fd a0 02 1a"},
	{"memory64", false, map[byte]string{5: "04 01"}, ""},
	{"memory64", false, map[byte]string{4: "70 04 01"}, ""},
	{"several memories", false, map[byte]string{5: "00 01|00 01"}, ""},
	{"custom page sizes", false, map[byte]string{5: "08 01 00"}, ""},
	{"memory control", false, nil, "41 00 41 00 fc 12 00"},
	{"exceptions", false, map[byte]string{13: "00 03"}, ""},
	{"exceptions", false, nil, "06 40 19 0b"},
	{"exceptions", false, nil, "1f 40 00 0b"},
	{"exceptions", false, nil, "d0 69 1a"},
	{"tail calls", false, nil, "12 03"},
	{"tail calls", false, map[byte]string{4: "70 00 01"}, "41 00 13 03 00"},
	{"typed references", false, nil, "d2 03 14 03"},
	{"typed references", false, nil, "d2 03 d4 1a"},
	{"garbage collection", false, map[byte]string{1: "5f 00"}, ""},
	{"garbage collection", false, nil, "41 01 fb 1c 1a"},
	{"wide arithmetic", false, nil, "42 01 42 01 fc 15 1a 1a"},
	{"stack switching", false, nil, "d2 03 e0 03 1a"},
}

// wasm returns the module. Segments of data need their count (section 12).
func (f feature) wasm(t *testing.T) []byte {
	t.Helper()
	function := "02 00 0b"
	if f.code != "" {
		code := strings.ReplaceAll(f.code, " ", "")
		function = fmt.Sprintf("%02x 00 %s 0b", len(code)/2+2, code)
	}
	base := map[byte]string{
		1:  "60 00 01 7f|60 01 7f 01 7f|60 04 7f 7f 7f 7e 01 7e|60 00 00",
		3:  "00|01|02|03",
		5:  "00 01",
		7:  "06 6d656d6f7279 02 00|0a 62756e6765655f616269 00 00|0a 62756e6765655f627566 00 01|0b 62756e6765655f63616c6c 00 02",
		10: "04 00 41 01 0b|05 00 41 80 08 0b|09 00 42 81 80 80 80 80 01 0b|" + function,
	}
	if f.adds[5] != "" {
		delete(base, 5)
	}
	wasm := []byte("\x00asm\x01\x00\x00\x00")
	for _, id := range []byte{1, 3, 4, 5, 13, 6, 7, 9, 12, 10, 11} {
		text := strings.Trim(base[id]+"|"+f.adds[id], "|")
		if _, counts := f.adds[id]; id == 12 && counts {
			wasm = append(wasm, 12, 1, 1)
			continue
		}
		if text == "" {
			continue
		}
		elements := strings.Split(text, "|")
		b, err := hex.DecodeString(strings.ReplaceAll(strings.Join(elements, ""), " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		wasm = binary.AppendUvarint(append(wasm, id), uint64(len(b)+1))
		wasm = append(append(wasm, byte(len(elements))), b...)
	}
	return wasm
}

// features checks that the engine takes the same modules as all others, metered or not.
func (s suite) features(t *testing.T) {
	e := s.engine(t)
	for k, f := range features {
		for _, meter := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d %s/meter=%t", k, f.name, meter), func(t *testing.T) {
				src := executor.Bytes(f.wasm(t))
				src.Meter = meter
				m, err := e.Load(t.Context(), src)
				if err == nil {
					defer closed(t, m)
				}
				switch {
				case !f.taken:
					mentions(t, err, executor.ErrABI, "it uses "+f.name+" at offset", "docs/abi.md")
				case err != nil:
					t.Errorf("got %v, want it loaded", err)
				default:
					in, err := m.Instantiate(t.Context(), executor.InstanceConfig{})
					if err != nil {
						t.Fatal(err)
					}
					closed(t, in)
				}
			})
		}
	}
}
