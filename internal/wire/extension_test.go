package wire

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExtensions(t *testing.T) {
	e := Extensions{}.Append(0xee, []byte("later")).Append(ExtensionClass, []byte("pose")).Append(ExtensionClass, []byte("video"))
	if got, ok := e.Get(ExtensionClass); string(got) != "pose" || !ok {
		t.Errorf("class %q, %v; want the first of its type", got, ok)
	}
	if got, ok := e.Get(ExtensionLease); ok {
		t.Errorf("a lease %q where there is none", got)
	}
	var types []ExtensionType
	for typ := range e.All() {
		types = append(types, typ)
	}
	if diff := cmp.Diff([]ExtensionType{0xee, ExtensionClass, ExtensionClass}, types); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A peer that sends what we do not know is understood in all the rest.
func TestUnknownExtensionsAreSkipped(t *testing.T) {
	ext := Extensions{}.Append(0xee, bytes.Repeat([]byte{7}, 1000))
	hello := Hello{Name: "ue", Session: 5, Extensions: ext}
	call := Call{Module: [32]byte{1}, Fn: 3, Size: 2, Extensions: ext}
	attach := Attach{ID: 9, Window: 32, Extensions: ext}
	var b bytes.Buffer
	b.Write(AppendControl(nil, TypeHello, hello))
	b.Write(append(AppendCall(nil, call), "hi"...))
	b.Write(AppendAttach(nil, attach))

	var gotHello Hello
	if err := ExpectControl(&b, TypeHello, &gotHello); err != nil {
		t.Fatal(err)
	}
	expectType(t, &b, TypeCall)
	gotCall, err := ReadCall(&b)
	if err != nil {
		t.Fatal(err)
	}
	if request, err := ReadPayload(&b, nil, gotCall.Size); string(request) != "hi" || err != nil {
		t.Errorf("request %q, %v", request, err)
	}
	expectType(t, &b, TypeAttach)
	gotAttach, err := ReadAttach(&b)
	if err != nil || b.Len() != 0 {
		t.Fatalf("%v, %d bytes left", err, b.Len())
	}
	if diff := cmp.Diff([]any{hello, call, attach}, []any{gotHello, gotCall, gotAttach}); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestExtensionsThatAreRefused(t *testing.T) {
	tests := []struct {
		name, block string
		why         string
	}{
		{"a type alone", "\x01", "an extension has a length"},
		{"half a length", "\x01\x00", "likewise"},
		{"cut", "\x01\x00\x05abcd", "the value is shorter than its length says"},
		{"cut after a whole one", "\x01\x00\x01a\x02", "likewise"},
		{"over the bound", string(make([]byte, MaxExtensions+1)), "a peer cannot make us keep more"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			block := Extensions(tt.block)
			for name, frame := range map[string][]byte{
				"call":   AppendCall(nil, Call{Extensions: block}),
				"attach": AppendAttach(nil, Attach{Window: 1, Extensions: block}),
				"hello":  AppendControl(nil, TypeHello, Hello{Extensions: block}),
			} {
				if _, err := goldenFrames[name].read(bytes.NewReader(frame[1:])); !errors.Is(err, ErrFrame) {
					t.Errorf("%s: %s: got %v, want %v", name, tt.why, err, ErrFrame)
				}
			}
		})
	}
}

func TestExtensionsAreBoundedByTheirWriter(t *testing.T) {
	full := Extensions{}.Append(1, make([]byte, MaxExtensions-extensionHeader))
	if _, err := goldenFrames["call"].read(bytes.NewReader(AppendCall(nil, Call{Extensions: full})[1:])); err != nil {
		t.Errorf("a block of %d bytes is refused: %v", len(full), err)
	}
	defer func() {
		if recover() == nil {
			t.Error("one byte over the bound did not panic")
		}
	}()
	full.Append(2, nil)
}

// A block that ends early is told from one that is malformed.
func TestExtensionsCutAnywhere(t *testing.T) {
	frame := AppendCall(nil, Call{Extensions: Extensions{}.Append(3, []byte("pose"))})
	for n := CallHeader; n < len(frame); n++ {
		if _, err := ReadCall(bytes.NewReader(frame[1:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d of %d bytes gave %v, want %v", n, len(frame), err, io.ErrUnexpectedEOF)
		}
	}
}

func FuzzExtensions(f *testing.F) {
	f.Add([]byte("\xee\x00\x05later\x03\x00\x04pose"))
	f.Add([]byte("\x01\x00\x05abcd"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e := Extensions(b)
		var again Extensions
		for typ, value := range e.All() {
			if len(again)+extensionHeader+len(value) > MaxExtensions {
				break
			}
			again = again.Append(typ, value)
			if got, ok := e.Get(typ); !ok || len(got) > len(b) {
				t.Errorf("extension %d of %x is not found", typ, b)
			}
		}
		if !bytes.HasPrefix(b, again) {
			t.Errorf("%x is read as %x", b, again)
		}
		if ok := e.check() == nil; ok != (len(again) == len(b)) {
			t.Errorf("%x is well formed: %v; its extensions have %d of %d bytes", b, ok, len(again), len(b))
		}
	})
}
