package far_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/far/native"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// sums returns the endpoint of a marked type, as offloadgen writes one: it adds up
// what it is told.
func sums() *codegen.Endpoint[int64, int64] {
	appendInt := func(b []byte, n int64) []byte { return pack.AppendInt(b, n) }
	readInt := func(r *pack.Reader) int64 { return r.Int() }
	return &codegen.Endpoint[int64, int64]{
		Desc: offload.Desc{Name: "sum", Module: codegen.NewModule([]byte("sum"))},
		New: func() *codegen.Live[int64, int64] {
			total := int64(0)
			return &codegen.Live[int64, int64]{
				Handle: func(_ context.Context, n int64, emit func(int64) error) error {
					total += n
					return emit(total)
				},
				AppendState: func(b []byte) []byte { return pack.AppendInt(b, total) },
				ReadState:   func(r *pack.Reader) { total = r.Int() },
			}
		},
		AppendIn: appendInt, ReadIn: readInt, AppendOut: appendInt, ReadOut: readInt,
	}
}

// The state of a native far endpoint goes from one to another.
func TestNative(t *testing.T) {
	a, b := native.New(sums()), native.New(sums())
	defer a.Close()
	defer b.Close()
	handle := func(e far.Endpoint, n int64) []byte {
		t.Helper()
		status, payload, err := e.Handle(t.Context(), pack.AppendInt(nil, n))
		if err != nil || status != 0 {
			t.Fatalf("handle %d: status %d, %v", n, status, err)
		}
		return append([]byte{}, payload...)
	}
	handle(a, 3)
	state, err := a.Save(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Restore(t.Context(), state); err != nil {
		t.Fatal(err)
	}
	if got, want := handle(b, 4), handle(a, 4); string(got) != string(want) {
		t.Errorf("the restored one answers %x, the saved one %x", got, want)
	}
	if err := b.Restore(t.Context(), []byte{0xc1}); err == nil {
		t.Error("a state that does not decode was restored")
	}
}

// What a Handle keeps of a message stays what it was, small or large: the host reads the
// next one into the same buffer.
func TestNativeKeepsWhatItWasGiven(t *testing.T) {
	for _, size := range []int{1, pack.OwnedSize / 2, pack.OwnedSize, 3 * pack.OwnedSize} {
		e := native.New(keeps())
		buf := pack.AppendBytes(nil, bytes.Repeat([]byte{1}, size))
		if _, _, err := e.Handle(t.Context(), buf); err != nil {
			t.Fatal(err)
		}
		state, err := e.Save(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		state = bytes.Clone(state)
		want := bytes.Clone(state)
		clear(buf)
		if got, err := e.Save(t.Context()); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: the state is not what the message said, once the next one was read: %v", size, err)
		}
		if err := e.Restore(t.Context(), state); err != nil {
			t.Fatal(err)
		}
		clear(state)
		if got, err := e.Save(t.Context()); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: the state is not the restored one, once the next one was read: %v", size, err)
		}
		e.Close()
	}
}

// keeps returns an endpoint whose state is the last message.
func keeps() *codegen.Endpoint[[]byte, []byte] {
	return &codegen.Endpoint[[]byte, []byte]{
		Desc: offload.Desc{Name: "keep", Module: codegen.NewModule([]byte("keep"))},
		New: func() *codegen.Live[[]byte, []byte] {
			var last []byte
			return &codegen.Live[[]byte, []byte]{
				Handle:      func(_ context.Context, in []byte, _ func([]byte) error) error { last = in; return nil },
				AppendState: func(b []byte) []byte { return pack.AppendBytes(b, last) },
				ReadState:   func(r *pack.Reader) { last = r.Bytes() },
			}
		},
		AppendIn: pack.AppendBytes, ReadIn: (*pack.Reader).Bytes,
		AppendOut: pack.AppendBytes, ReadOut: (*pack.Reader).Bytes,
	}
}
