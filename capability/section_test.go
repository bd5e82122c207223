package capability

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

// empty is the smallest module.
const empty = "\x00asm\x01\x00\x00\x00"

// full asks for something of each kind.
var full = Manifest{
	Host: []string{"bungee_egress", "wasi_ephemeral_nn"}, Models: []string{"yolo-fastest-1.1"},
	Folders: []Folder{{"maps", false}, {"/var/logs", true}}, Connect: []string{"api.example.com:443", "[2001:db8::1]:80"},
	Env: []string{"REGION"}, Clock: true, Random: true, Class: RealTime,
	Limits: Limits{Memory: 64 << 20, Output: 1 << 20, Fuel: 1e9, Deadline: 100 * time.Millisecond},
}

// custom returns a custom section.
func custom(name, body string) string {
	body = string(rune(len(name))) + name + body
	if len(body) > 127 {
		panic("custom: a length of one byte only")
	}
	return "\x00" + string(rune(len(body))) + body
}

func TestAppendRead(t *testing.T) {
	other := custom("name", "x")
	tests := []struct {
		why  string
		wasm string
		m    Manifest
	}{
		{"the smallest module", empty, full},
		{"nothing is asked for", empty, Manifest{}},
		{"another custom section stays", empty + other, full},
		{"an old manifest goes", empty + custom(Section, `{"clock":true}`) + other, Manifest{Deterministic: true}},
		{"two old ones go, too", empty + custom(Section, `{}`) + other + custom(Section, `x`), full},
	}
	for _, tt := range tests {
		before := strings.Clone(tt.wasm)
		got, err := Append([]byte(tt.wasm), tt.m)
		if err != nil {
			t.Errorf("%s: %v", tt.why, err)
			continue
		}
		if tt.wasm != before {
			t.Errorf("%s: Append changed its input", tt.why)
		}
		m, err := Read(got)
		if err != nil || !reflect.DeepEqual(m, tt.m) {
			t.Errorf("%s: got %+v, %v; want %+v", tt.why, m, err, tt.m)
		}
		if n := bytes.Count(got, []byte(Section)); n != 1 {
			t.Errorf("%s: %d manifests in the module; want 1", tt.why, n)
		}
		if strings.Contains(tt.wasm, other) && !bytes.Contains(got, []byte(other)) {
			t.Errorf("%s: the other section is gone", tt.why)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	tests := []struct {
		why, wasm, want string
	}{
		{"no module", "#!/bin/sh", "magic bytes"},
		{"nothing", "", "magic bytes"},
		{"a component, which is no core module", "\x00asm\x0d\x00\x01\x00", "magic bytes"},
		{"a section without a length", empty + "\x01", "at byte 8 of 9"},
		{"a section longer than the module", empty + "\x01\x05ab", "cut off"},
		{"a length of 2^32-1", empty + "\x00\xff\xff\xff\xff\x0f", "cut off"},
		{"a length over 32 bits", empty + "\x00\xff\xff\xff\xff\x7f", "bad length"},
		{"a length of six bytes", empty + "\x00\x80\x80\x80\x80\x80\x00", "bad length"},
		{"two manifests", empty + custom(Section, "{}") + custom(Section, "{}"), "two sections"},
		{"no JSON", empty + custom(Section, "clock"), "manifest: "},
		{"no text", empty + custom(Section, ""), "manifest: "},
		{"another type", empty + custom(Section, "[]"), "manifest: "},
		{"more behind it", empty + custom(Section, "{} {}"), "more behind it"},
		{"not UTF-8", empty + custom(Section, "{\"env\":[\"\xff\"]}"), "UTF-8"},
		{"a newer generator asks for what this host does not know", empty + custom(Section, `{"camera":true}`), `unknown field \"camera\"`},
		{"a key twice: another reader may take the other", empty + custom(Section, `{"clock":false,"clock":true}`), `"clock" is there twice`},
		{"a key in another case", empty + custom(Section, `{"CLOCK":true}`), "lower case"},
		{"a key that folds to another", empty + custom(Section, `{"hoſt":["a"]}`), "lower case"},
		{"the same inside a folder", empty + custom(Section, `{"folders":[{"name":"a","name":"b"}]}`), `"name" is there twice`},
		{"a limit that is no whole number", empty + custom(Section, `{"limits":{"fuel":-1}}`), "fuel"},
		{"an entry that is wrong", empty + custom(Section, `{"connect":["example.com"]}`), "host:port"},
	}
	for _, tt := range tests {
		_, err := Read([]byte(tt.wasm))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v; want an error with %q", tt.why, err, tt.want)
		}
		if broken := !strings.Contains(tt.wasm, Section); errors.Is(err, ErrWasm) != broken {
			t.Errorf("%s: %v is ErrWasm: %t; want %t", tt.why, err, !broken, broken)
		}
	}
	long := empty + "\x00" + "\x91\x80\x04" + string(rune(len(Section))) + Section + strings.Repeat(" ", MaxSection+1)
	if _, err := Read([]byte(long)); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a manifest over the bound: got %v; want an error with the bound", err)
	}
}

// llvm-objcopy --add-section pads the section's length to five bytes.
func TestReadPadded(t *testing.T) {
	wasm := empty + "\x00\x9e\x80\x80\x80\x00\x0f" + Section + `{"clock":true}`
	if m, err := Read([]byte(wasm)); err != nil || !m.Clock {
		t.Errorf("got %+v, %v; want the clock", m, err)
	}
}

func TestReadWithout(t *testing.T) {
	wasm := empty + custom("bungee.manifests", "{}") + custom("name", "") + "\x0b\x01\x00"
	if m, err := Read([]byte(wasm)); err != nil || !reflect.DeepEqual(m, Manifest{}) {
		t.Errorf("a module without a manifest: got %+v, %v; want the zero Manifest", m, err)
	}
}

func TestAppendRefuses(t *testing.T) {
	if _, err := Append([]byte(empty), Manifest{Class: "fast"}); err == nil {
		t.Error("a manifest that does not pass Check was appended")
	}
	if _, err := Append([]byte("text"), Manifest{}); !errors.Is(err, ErrWasm) {
		t.Errorf("Append to what is no module: got %v; want ErrWasm", err)
	}
	var big Manifest
	for i := range MaxEntries {
		name := strings.Repeat("m", MaxName-2) + string(rune('a'+i/26)) + string(rune('a'+i%26))
		big.Models = append(big.Models, name)
	}
	big.Models[0] = "a" // the lists together are over the bound
	for i := range MaxEntries {
		big.Env = append(big.Env, strings.Repeat("E", 200)+string(rune('a'+i/26))+string(rune('a'+i%26)))
	}
	if _, err := Append([]byte(empty), big); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a manifest over the bound: got %v; want an error with the bound", err)
	}
}

func TestImports(t *testing.T) {
	// Three functions of two modules; the types are 0.
	section := "\x02\x13\x03" + "\x01a\x01f\x00\x00" + "\x01b\x01f\x00\x00" + "\x01a\x01g\x00\x00"
	tests := []struct {
		why, wasm string
		want      []string
		err       string
	}{
		{"none", empty, nil, ""},
		{"each once", empty + section, []string{"a", "b"}, ""},
		{"cut off", empty + "\x02\x05\x03\x01a\x01f", nil, "cut off"},
		{"more imports than bytes", empty + "\x02\x05\xff\xff\xff\xff\x0f", nil, "cut off"},
		{"a memory", empty + "\x02\x08\x01\x01a\x01m\x02\x00\x01", nil, `from "a" what is no function`},
		{"no module", "x", nil, "magic"},
	}
	for _, tt := range tests {
		got, err := Imports([]byte(tt.wasm))
		if tt.err == "" && (err != nil || !reflect.DeepEqual(got, tt.want)) {
			t.Errorf("%s: got %q, %v; want %q", tt.why, got, err, tt.want)
		}
		if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: got %v; want an error with %q", tt.why, err, tt.err)
		}
	}
}
