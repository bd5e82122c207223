package codegen_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/route"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// A blurIn is what crosses for a function that changes dst, box and seen, and reads src.
type blurIn struct {
	dst, src []byte
	box      *int64
	seen     map[string]int64
}

func appendBlur(b []byte, v blurIn) []byte {
	b = pack.AppendBytes(pack.AppendBytes(pack.AppendArray(b, 4), v.dst), v.src)
	return appendBack(b, v, false)
}

func appendBack(b []byte, v blurIn, dst bool) []byte {
	if dst {
		b = pack.AppendBytes(b, v.dst)
	}
	if v.box == nil {
		b = pack.AppendNil(b)
	} else {
		b = pack.AppendInt(b, *v.box)
	}
	b = pack.AppendMap(b, len(v.seen))
	for _, k := range slices.Sorted(maps.Keys(v.seen)) {
		b = pack.AppendInt(pack.AppendString(b, k), v.seen[k])
	}
	return b
}

func readBlur(r *pack.Reader) (v blurIn) {
	r.Array()
	v.dst, v.src, v.box, v.seen = r.Bytes(), r.Bytes(), readBox(r), readSeen(r)
	return v
}

func readBox(r *pack.Reader) *int64 {
	if r.Nil() {
		return nil
	}
	n := r.Int()
	return &n
}

func readSeen(r *pack.Reader) map[string]int64 {
	m := map[string]int64{}
	for range r.Map() {
		k := r.String()
		m[k] = r.Int()
	}
	return m
}

var errBlurred = errors.New("blurred too often")

// blur is an elastic function as offloadgen writes one with inout=dst,box,seen.
func blur() *codegen.Func[blurIn, int64] {
	return &codegen.Func[blurIn, int64]{
		Desc: offload.Desc{Name: "blur", Idempotent: true},
		Native: func(_ context.Context, in blurIn) (int64, error) {
			for i := range in.dst {
				in.dst[i] = in.src[i] + 1
			}
			*in.box += 10
			delete(in.seen, "old")
			in.seen["new"] = *in.box
			switch {
			case len(in.src) > 0 && in.src[0] == 254:
				return 5, errBlurred
			case len(in.src) > 0 && in.src[0] == 255:
				panic("white")
			}
			return 7, nil
		},
		AppendIn: appendBlur, ReadIn: readBlur,
		AppendOut: pack.AppendInt, ReadOut: (*pack.Reader).Int,
		Params:     []codegen.Param{{"dst", true}, {"src", false}, {"box", true}, {"seen", true}},
		AppendBack: func(b []byte, in blurIn) []byte { return appendBack(b, in, true) },
		ReadBack: func(r *pack.Reader, in blurIn, back *codegen.Back) {
			codegen.BackSlice(back, in.dst, r.Bytes())
			codegen.BackPointer(back, in.box, readBox(r))
			codegen.BackMap(back, in.seen, readSeen(r))
		},
		Aliased: func(in blurIn) bool {
			return codegen.Overlap(3, codegen.SliceSpan(in.dst), codegen.PointerSpan(in.box), codegen.MapSpan(in.seen), codegen.SliceSpan(in.src))
		},
	}
}

// A backEdge serves blur; change, if any, changes its replies.
type backEdge struct {
	change func(reply []byte) []byte
	calls  int
}

func (e *backEdge) Route(*offload.Desc) *route.Way { return &route.Way{Caller: e} }

func (e *backEdge) Call(ctx context.Context, _ *offload.Desc, frame []byte) (_ *route.Reply, err error) {
	e.calls++
	r := route.NewReply()
	r.Host = "edge-1"
	b := serveBlur(ctx, frame[route.Room:])
	if e.change != nil {
		b = e.change(b)
	}
	r.Status, r.Payload = abi.Status(b[0]), b[1:]
	return r, nil
}

// serveBlur serves a request as a guest does.
func serveBlur(ctx context.Context, request []byte) (reply []byte) {
	defer func() {
		if v := recover(); v != nil {
			reply = abi.AppendPanic([]byte{byte(abi.Panic)}, v)
		}
	}()
	return blur().Serve(ctx, slices.Clone(request), nil)
}

func blurred(first byte) blurIn {
	n := int64(1)
	return blurIn{dst: make([]byte, 3, 9), src: []byte{first, 20, 30}, box: &n, seen: map[string]int64{"old": 1, "kept": 2}}
}

func TestInOutComesBack(t *testing.T) {
	for _, tt := range []struct {
		name  string
		first byte
		out   int64
		err   error
		same  bool // the memory is as it was
	}{
		{"result", 10, 7, nil, false},
		{"error of its own", 254, 5, errBlurred, false},
		{"panic", 255, 0, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &backEdge{}
			defer route.Use(route.Use(e))
			in := blurred(tt.first)
			before := appendBlur(nil, in)
			behind := in.dst[:9]
			box, seen := in.box, in.seen
			out, err := blur().Call(t.Context(), in)
			if e.calls != 1 || out != tt.out || tt.err != nil && (err == nil || err.Error() != tt.err.Error()) {
				t.Errorf("%d calls gave %d, %v; want %d, %v", e.calls, out, err, tt.out, tt.err)
			}
			if tt.same {
				if after := appendBlur(nil, in); string(after) != string(before) {
					t.Errorf("the caller's memory is %x, it was %x", after, before)
				}
				return
			}
			if want := []byte{tt.first + 1, 21, 31, 0, 0, 0, 0, 0, 0}; !slices.Equal(behind, want) {
				t.Errorf("the array of dst is %d; want %d", behind, want)
			}
			if *box != 11 || !maps.Equal(seen, map[string]int64{"kept": 2, "new": 11}) {
				t.Errorf("box %d, seen %v", *box, seen)
			}
		})
	}
}

// TestInOutOfAnotherSize has edge hosts that answer with what does not fit.
func TestInOutOfAnotherSize(t *testing.T) {
	for name, change := range map[string]func(b []byte) []byte{
		"longer":   func(b []byte) []byte { return append(appendOther([]byte{b[0], b[1]}, 4, true), 0x80) },
		"shorter":  func(b []byte) []byte { return append(appendOther([]byte{b[0], b[1]}, 2, true), 0x80) },
		"nil":      func(b []byte) []byte { return append(appendOther([]byte{b[0], b[1]}, 3, false), 0x80) },
		"trailing": func(b []byte) []byte { return append(b, 0) },
		"cut":      func(b []byte) []byte { return b[:len(b)-1] },
		"nothing":  func(b []byte) []byte { return b[:2] },
	} {
		t.Run(name, func(t *testing.T) {
			defer route.Use(route.Use(&backEdge{change: change}))
			in := blurred(10)
			before := appendBlur(nil, in)
			_, err := blur().Call(t.Context(), in)
			if offload.CodeOf(err) != offload.CodeProtocol {
				t.Errorf("error %v; want a protocol violation", err)
			}
			if after := appendBlur(nil, in); string(after) != string(before) {
				t.Errorf("the caller's memory is %x, it was %x", after, before)
			}
		})
	}
}

func appendOther(b []byte, n int, box bool) []byte {
	b = pack.AppendBytes(b, make([]byte, n))
	if box {
		return pack.AppendInt(b, 1)
	}
	return pack.AppendNil(b)
}

// TestSharedInOutRunsNatively has callers whose parameters share memory.
func TestSharedInOutRunsNatively(t *testing.T) {
	for name, in := range map[string]func() blurIn{
		"the same":    func() blurIn { in := blurred(10); in.dst = in.src; return in },
		"overlapping": func() blurIn { in := blurred(10); b := []byte{1, 2, 3, 4}; in.dst, in.src = b[1:], b[:3]; return in },
	} {
		t.Run(name, func(t *testing.T) {
			e := &backEdge{}
			defer route.Use(route.Use(e))
			here, there := in(), in()
			var tr offload.Trace
			if _, err := blur().Native(t.Context(), here); err != nil {
				t.Fatal(err)
			}
			_, err := blur().Call(offload.WithTrace(t.Context(), &tr), there)
			if err != nil || e.calls != 0 || tr.Fallback == nil || !strings.Contains(tr.Fallback.Error(), "shares memory") {
				t.Errorf("%d calls on the host, error %v, fallback %v", e.calls, err, tr.Fallback)
			}
			if !slices.Equal(here.dst, there.dst) {
				t.Errorf("got %d; want %d", there.dst, here.dst)
			}
		})
	}
	apart := blurred(10)
	b := make([]byte, 6)
	apart.dst, apart.src = b[:3], b[3:]
	e := &backEdge{}
	defer route.Use(route.Use(e))
	if _, err := blur().Call(t.Context(), apart); err != nil || e.calls != 1 || apart.dst[0] != 1 {
		t.Errorf("of one array, and apart: %d calls, %v, %d", e.calls, err, apart.dst)
	}
}

// TestHedgedInOut has a native run beside that is faster: what it changed in its copy is
// the caller's.
func TestHedgedInOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &slowEdge{hedge: time.Millisecond}
		defer route.Use(route.Use(e))
		in := blurred(10)
		out, err := blur().Call(t.Context(), in)
		if out != 7 || err != nil || e.ueFirst.Load() != 1 {
			t.Fatalf("%d, %v, native runs %d", out, err, e.ueFirst.Load())
		}
		if !slices.Equal(in.dst, []byte{11, 21, 31}) || *in.box != 11 || in.seen["new"] != 11 {
			t.Errorf("the caller has %d %d %v", in.dst, *in.box, in.seen)
		}
	})
}

// FuzzBack feeds replies to the reader of what is carried back.
func FuzzBack(f *testing.F) {
	f.Add(blur().Serve(f.Context(), appendBlur(nil, blurred(10)), nil))
	f.Add(appendOther([]byte{0, 1}, 3, true))
	f.Fuzz(func(t *testing.T, reply []byte) {
		if len(reply) == 0 {
			return
		}
		defer route.Use(route.Use(&backEdge{change: func([]byte) []byte { return reply }}))
		in := blurred(10)
		before := appendBlur(nil, in)
		_, err := blur().Call(t.Context(), in)
		if offload.CodeOf(err) == offload.CodeProtocol && string(appendBlur(nil, in)) != string(before) {
			t.Error("a reply that is refused has changed the caller's memory")
		}
	})
}
