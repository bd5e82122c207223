package codegen_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// A meter emits the running sums of the numbers in a message. A negative one ends
// the message with an error, and stays in the sum.
type meter struct {
	Sum   int
	calls int // not the state
}

func (m *meter) Handle(ctx context.Context, numbers []byte, emit func(int) error) error {
	m.calls++
	for _, n := range numbers {
		m.Sum += int(int8(n))
		if int8(n) < 0 {
			return fmt.Errorf("number %d: %w", int8(n), errDark)
		}
		if err := emit(m.Sum); err != nil {
			return err
		}
	}
	return nil
}

// meterEndpoint is an endpoint as offloadgen writes one.
var meterEndpoint = codegen.Endpoint[[]byte, int]{
	Desc: offload.Desc{Name: "meter", Index: 5},
	New: func() *codegen.Live[[]byte, int] {
		v := new(meter)
		return &codegen.Live[[]byte, int]{
			Handle: func(ctx context.Context, in []byte, emit func(int) error) error {
				return v.Handle(ctx, in, emit)
			},
			AppendState: func(b []byte) []byte { return pack.AppendInt(pack.AppendArray(b, 1), int64(v.Sum)) },
			ReadState: func(r *pack.Reader) {
				*v = meter{}
				if !r.Tuple(1) {
					return
				}
				v.Sum = int(r.IntN(0))
			},
		}
	},
	AppendIn:  pack.AppendBytes,
	ReadIn:    (*pack.Reader).Bytes,
	AppendOut: func(b []byte, v int) []byte { return pack.AppendInt(b, int64(v)) },
	ReadOut:   func(r *pack.Reader) int { return int(r.IntN(0)) },
}

// read reads an outcome.
func read(outcome []byte) (outs []int, handled, broken error) {
	handled, broken = meterEndpoint.ReadOutcome(abi.Status(outcome[0]), outcome[1:], func(n int) { outs = append(outs, n) })
	return outs, handled, broken
}

func TestServing(t *testing.T) {
	tests := []struct {
		why     string
		numbers []byte
		outs    []int
		err     error
		state   int // afterwards
	}{
		{"a message with one value", []byte{5}, []int{5}, nil, 5},
		{"a message with none", nil, nil, nil, 5},
		{"a message with many, on the state of the first", []byte{1, 100, 100}, []int{6, 106, 206}, nil, 206},
		{"values before an error count", []byte{4, 0x100 - 10, 9}, []int{210}, errDark, 200},
		{"an error without values", []byte{0xff}, nil, errDark, 199},
		{"the state is that of the error", []byte{1}, []int{200}, nil, 200},
	}
	s := meterEndpoint.Serve()
	ctx := t.Context()
	for _, tt := range tests {
		before := []byte("before")
		got := s.Handle(ctx, pack.AppendBytes(nil, tt.numbers), before)
		outcome, ok := bytes.CutPrefix(got, before)
		if !ok {
			t.Fatalf("%s: reply %q does not follow %q", tt.why, got, before)
		}
		outs, handled, broken := read(outcome)
		if !slices.Equal(outs, tt.outs) || !errors.Is(handled, tt.err) || broken != nil {
			t.Errorf("%s: message %v came to %v, %v, %v; want %v, %v", tt.why, tt.numbers, outs, handled, broken, tt.outs, tt.err)
		}
		want := pack.AppendInt([]byte{byte(abi.OK), 0x91}, int64(tt.state))
		if got := s.Save(ctx, nil, nil); !bytes.Equal(got, want) {
			t.Errorf("%s: state after %v is % x; want % x", tt.why, tt.numbers, got, want)
		}
	}
}

func TestServingMessageThatDoesNotDecode(t *testing.T) {
	s := meterEndpoint.Serve()
	s.Handle(t.Context(), pack.AppendBytes(nil, []byte{7}), nil)
	for _, request := range [][]byte{nil, {0x91}, {0xc4, 2, 1}, {0xc4, 1, 1, 1}} {
		outs, handled, broken := read(s.Handle(t.Context(), request, nil))
		if outs != nil || handled == nil || !strings.Contains(handled.Error(), "message of meter") || broken != nil {
			t.Errorf("message % x came to %v, %v, %v; want an error that names the endpoint", request, outs, handled, broken)
		}
	}
	if got := s.Save(t.Context(), nil, nil); !bytes.Equal(got, []byte{0, 0x91, 7}) {
		t.Errorf("after bad messages the state is % x; want 00 91 07, as before them", got)
	}
}

// TestMoveOfState carries a state from one far endpoint to the next, by way of
// both kinds of them.
func TestMoveOfState(t *testing.T) {
	ctx := t.Context()
	a, b := meterEndpoint.Serve(), meterEndpoint.Serve()
	a.Handle(ctx, pack.AppendBytes(nil, []byte{40}), nil)
	here, err := meterEndpoint.Load(a.Save(ctx, nil, nil)[1:])
	if err != nil {
		t.Fatal(err)
	}
	if err := here.Handle(ctx, []byte{2}, func(int) error { return nil }); err != nil {
		t.Fatal(err)
	}
	b.Handle(ctx, pack.AppendBytes(nil, []byte{99}), nil) // is replaced
	if got := b.Restore(ctx, here.AppendState(nil), []byte{9}); !bytes.Equal(got, []byte{9, byte(abi.OK)}) {
		t.Fatalf("restore replied % x; want 09 00", got)
	}
	outs, _, _ := read(b.Handle(ctx, pack.AppendBytes(nil, []byte{1}), nil))
	if !slices.Equal(outs, []int{43}) {
		t.Errorf("after 40, 2 and 1 at three places it emitted %v; want [43]", outs)
	}
	if got := b.Restore(ctx, nil, nil); !bytes.Equal(got, []byte{byte(abi.OK)}) {
		t.Errorf("restore of no state replied % x; want 00", got)
	}
	if got := b.Save(ctx, nil, nil); !bytes.Equal(got, []byte{0, 0x91, 0}) {
		t.Errorf("restore of no state left % x; want 00 91 00, the zero value's", got)
	}
}

var badStates = []struct {
	why   string
	state []byte
}{
	{"another type", []byte{0xc1}},
	{"another number of fields", []byte{0x92, 1, 2}},
	{"cut off", []byte{0x91, 0xcd, 1}},
	{"followed by more", []byte{0x91, 1, 1}},
}

func TestStateThatDoesNotDecode(t *testing.T) {
	s := meterEndpoint.Serve()
	for _, tt := range badStates {
		s.Handle(t.Context(), pack.AppendBytes(nil, []byte{3}), nil)
		reply := s.Restore(t.Context(), tt.state, nil)
		_, text, err := abi.ParseError(reply[1:])
		if abi.Status(reply[0]) != abi.Error || err != nil || !strings.Contains(text, "state of meter") {
			t.Errorf("%s: restore of % x replied %q; want an error that names the endpoint", tt.why, tt.state, reply)
		}
		if got := s.Save(t.Context(), nil, nil); !bytes.Equal(got, []byte{0, 0x91, 0}) {
			t.Errorf("%s: restore of % x left % x; want 00 91 00, the zero value's", tt.why, tt.state, got)
		}
		if live, err := meterEndpoint.Load(tt.state); err == nil {
			t.Errorf("%s: Load of % x gave %v; want an error", tt.why, tt.state, live)
		}
	}
}

func TestReadOutcomeRefuses(t *testing.T) {
	tests := []struct {
		why     string
		outcome []byte
	}{
		{"no count", []byte{0}},
		{"half a count", []byte{0, 0, 0, 0}},
		{"fewer values than counted", []byte{0, 0, 0, 0, 2, 1}},
		{"more values than bytes", []byte{0, 0xff, 0xff, 0xff, 0xff, 1, 2}},
		{"a value of another type", []byte{0, 0, 0, 0, 1, 0xc0}},
		{"what follows the values is no error", []byte{0, 0, 0, 0, 1, 1, 2, 0, 0}},
		{"an error is cut off", []byte{0, 0, 0, 0, 0, 1, 5}},
		{"an error reply is cut off", []byte{1, 5}},
		{"a status of another version", []byte{3, 0, 0, 0, 0}},
	}
	for _, tt := range tests {
		if outs, handled, broken := read(tt.outcome); broken == nil {
			t.Errorf("%s: % x came to %v, %v; want it to be broken", tt.why, tt.outcome, outs, handled)
		}
	}
}

func TestReadOutcomePanic(t *testing.T) {
	for text, want := range map[string]offload.PanicError{
		"boom (main.f, main.go:7)\n\ngoroutine 1 [running]:\nmain.f()": "boom (main.f, main.go:7)",
		strings.Repeat("p", abi.MaxText+1):                             offload.PanicError(strings.Repeat("p", abi.MaxPanic)),
	} {
		_, handled, broken := read(append([]byte{byte(abi.Panic)}, text...))
		if handled != want || broken != nil {
			t.Errorf("a panic of %d bytes came to %T %q, %v; want %q", len(text), handled, handled, broken, want)
		}
	}
}

func TestIndices(t *testing.T) {
	if e := &meterEndpoint; e.Save() != 6 || e.Restore() != 7 {
		t.Errorf("behind 5: save %d, restore %d; want 6 and 7", e.Save(), e.Restore())
	}
}

// golden reads the bytes of the block "hex NAME" of docs/abi.md: on each line,
// what stands before the first two spaces.
func golden(t testing.TB, name string) (b []byte) {
	t.Helper()
	doc, err := os.ReadFile("../../docs/abi.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```hex " + name + "\n(.*?)```").FindSubmatch(doc)
	if block == nil {
		t.Fatalf("docs/abi.md has no block %q", name)
	}
	for line := range strings.Lines(string(block[1])) {
		digits, _, _ := strings.Cut(line, "  ")
		part, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(digits), " ", ""))
		if err != nil {
			t.Fatalf("block %q, line %q: %v", name, line, err)
		}
		b = append(b, part...)
	}
	return b
}

// namer is the endpoint of the examples in docs/abi.md.
var namer = codegen.Endpoint[int, string]{
	Desc: offload.Desc{Name: "namer"},
	New: func() *codegen.Live[int, string] {
		return &codegen.Live[int, string]{
			Handle: func(_ context.Context, n int, emit func(string) error) error {
				for i := range n {
					if err := emit([]string{"cat", "dog"}[i]); err != nil {
						return err
					}
				}
				if n == 1 {
					return dark{}
				}
				return nil
			},
			AppendState: func(b []byte) []byte { return b },
		}
	},
	ReadIn:    func(r *pack.Reader) int { return int(r.Int()) },
	AppendOut: pack.AppendString,
	ReadOut:   (*pack.Reader).String,
}

// dark is an error that is registered, with the text of docs/abi.md.
type dark struct{}

func (dark) Error() string { return "too dark" }

func init() { offload.RegisterError("app.dark", dark{}) }

func TestGoldenOutcomes(t *testing.T) {
	tests := []struct {
		block string
		in    int64
		outs  []string
		err   error
	}{
		{"outcome", 2, []string{"cat", "dog"}, nil},
		{"outcome none", 0, nil, nil},
		{"outcome tree", 1, []string{"cat"}, dark{}},
	}
	for _, tt := range tests {
		want := golden(t, tt.block)
		if got := namer.Serve().Handle(t.Context(), pack.AppendInt(nil, tt.in), nil); !bytes.Equal(got, want) {
			t.Errorf("%s: message %d came to % x; docs/abi.md has % x", tt.block, tt.in, got, want)
		}
		var outs []string
		handled, broken := namer.ReadOutcome(abi.Status(want[0]), want[1:], func(s string) { outs = append(outs, s) })
		if !slices.Equal(outs, tt.outs) || !errors.Is(handled, tt.err) || broken != nil {
			t.Errorf("%s: % x reads as %q, %v, %v; want %q, %v", tt.block, want, outs, handled, broken, tt.outs, tt.err)
		}
	}
}

func FuzzReadOutcome(f *testing.F) {
	for _, name := range []string{"outcome", "outcome none", "outcome error", "outcome tree", "error", "panic"} {
		b := golden(f, name)
		f.Add(b[0], b[1:])
	}
	f.Add(byte(0), []byte{0xff, 0xff, 0xff, 0xff, 1})
	f.Add(byte(0), []byte{0, 0, 0, 1, 0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, status byte, payload []byte) {
		var outs []int
		handled, broken := meterEndpoint.ReadOutcome(abi.Status(status), payload, func(n int) { outs = append(outs, n) })
		if len(outs) > len(payload) {
			t.Errorf("%x gave %d values", payload, len(outs))
		}
		if handled != nil && (broken != nil || len(handled.Error()) > abi.MaxText+len("panic: ")) {
			t.Errorf("%x came to an error of %d bytes, broken: %v", payload, len(handled.Error()), broken)
		}
	})
}

func FuzzRestore(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x91, 42})
	for _, tt := range badStates {
		f.Add(tt.state)
	}
	f.Fuzz(func(t *testing.T, state []byte) {
		s := meterEndpoint.Serve()
		reply := s.Restore(t.Context(), state, nil)
		left := s.Save(t.Context(), nil, nil)[1:]
		live, err := meterEndpoint.Load(state)
		switch ok := abi.Status(reply[0]) == abi.OK; {
		case ok != (err == nil):
			t.Errorf("%x: Restore replied %q, Load gave %v", state, reply, err)
		case !ok && !bytes.Equal(left, []byte{0x91, 0}):
			t.Errorf("%x: after an error the state is % x; want the zero value's", state, left)
		case ok && !bytes.Equal(left, live.AppendState(nil)):
			t.Errorf("%x: Restore left % x, Load % x", state, left, live.AppendState(nil))
		}
	})
}

// A request that is given away is read without a copy; a state that is loaded is not given
// away, since a channel loads it again.
func TestWhoOwnsTheBytes(t *testing.T) {
	var handled, state []byte
	ep := codegen.Endpoint[[]byte, []byte]{
		New: func() *codegen.Live[[]byte, []byte] {
			return &codegen.Live[[]byte, []byte]{
				Handle:    func(_ context.Context, in []byte, _ func([]byte) error) error { handled = in; return nil },
				ReadState: func(r *pack.Reader) { state = r.Bytes() },
			}
		},
		ReadIn: (*pack.Reader).Bytes,
	}
	large := pack.AppendBytes(nil, make([]byte, pack.OwnedSize))
	last := len(large) - 1
	shares := func(b []byte) bool { return &b[len(b)-1] == &large[last] }

	s := ep.Serve()
	s.Handle(t.Context(), large, nil)
	s.Restore(t.Context(), large, nil)
	if !shares(handled) || !shares(state) {
		t.Errorf("a large request was read with a copy of the message: %t, of the state: %t; want neither", !shares(handled), !shares(state))
	}
	if _, err := ep.Load(large); err != nil || shares(state) {
		t.Errorf("a state that was loaded shares what it was loaded from: %t, %v", shares(state), err)
	}
}
