package pack_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/offload/pack"
)

// A pair marshals itself as an array of msgpack.
type pair struct{ a, b int }

func (p *pair) MarshalMsgpack() ([]byte, error) {
	if p.a < 0 {
		return nil, errors.New("negative")
	}
	if p.b < 0 {
		return []byte{1, 2}, nil // two values
	}
	return pack.AppendInt(pack.AppendInt(pack.AppendArray(nil, 2), int64(p.a)), int64(p.b)), nil
}

func (p *pair) UnmarshalMsgpack(b []byte) error {
	r := pack.NewReader(b)
	r.Tuple(2)
	p.a, p.b = int(r.Int()), int(r.Int())
	return r.Done()
}

func TestMarshal(t *testing.T) {
	addr := netip.MustParseAddr("fe80::1%eth0")
	got := netip.Addr{}
	r := pack.NewReader(pack.AppendMarshalBinary(nil, addr))
	if pack.ReadUnmarshalBinary(&r, &got); r.Done() != nil || got != addr {
		t.Errorf("binary: %v, %v", got, r.Err())
	}
	r = pack.NewReader(pack.AppendMarshalText(nil, addr))
	if pack.ReadUnmarshalText(&r, &got); r.Done() != nil || got != addr {
		t.Errorf("text: %v, %v", got, r.Err())
	}
	p := pair{}
	r = pack.NewReader(pack.AppendMarshalMsgpack(nil, &pair{3, 4}))
	if pack.ReadUnmarshalMsgpack(&r, &p); r.Done() != nil || p != (pair{3, 4}) {
		t.Errorf("msgpack: %v, %v", p, r.Err())
	}
}

// What cannot be written is an error where it is read, which says why.
func TestNothing(t *testing.T) {
	for _, b := range [][]byte{
		pack.AppendMarshalMsgpack(nil, &pair{a: -1}), pack.AppendMarshalMsgpack(nil, &pair{b: -1}), pack.AppendNothing(nil),
		pack.AppendMarshalText(nil, time.Date(100000, 1, 1, 0, 0, 0, 0, time.UTC)),
	} {
		r := pack.NewReader(b)
		if r.Int(); !errors.Is(r.Err(), pack.ErrNothing) {
			t.Errorf("% x: %v", b, r.Err())
		}
	}
	r := pack.NewReader(pack.AppendBytes(nil, []byte("odd")))
	if pack.ReadUnmarshalBinary(&r, new(netip.Addr)); r.Err() == nil {
		t.Error("an address of 3 bytes was read")
	}
}

func TestDepth(t *testing.T) {
	r := pack.NewReader([]byte{1})
	for range pack.MaxDepth {
		if !r.Down() {
			t.Fatal(r.Err())
		}
	}
	if r.Down() || r.Err() == nil {
		t.Error("deeper than MaxDepth")
	}
}
