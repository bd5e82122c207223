package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bungee-xr/bungee/offload"
)

func TestCallRoundTrip(t *testing.T) {
	tests := []struct {
		name string
		in   Call
		want time.Duration
		why  string
	}{
		{"plain", Call{Module: [32]byte{1, 31: 9}, Fn: 7, Deadline: 500 * time.Millisecond, Size: 50_000}, 500 * time.Millisecond, ""},
		{"none", Call{}, 0, "zero is no deadline"},
		{"tiny", Call{Deadline: 1}, time.Microsecond, "a deadline never becomes none by rounding"},
		{"long", Call{Deadline: 100 * time.Hour}, 0, "what does not fit is no deadline"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := bytes.NewReader(AppendCall(nil, tt.in))
			expectType(t, r, TypeCall)
			got, err := ReadCall(r)
			if err != nil {
				t.Fatal(err)
			}
			want := tt.in
			want.Deadline = tt.want
			if diff := cmp.Diff(want, got); diff != "" || r.Len() != 0 {
				t.Errorf("%s: %d bytes left; -want +got:\n%s", tt.why, r.Len(), diff)
			}
		})
	}
}

func TestResultRoundTrip(t *testing.T) {
	want := Result{Status: 2, Queue: time.Millisecond, Run: 31 * time.Millisecond, Size: 480,
		Spans: []Span{{"nn.compute", 29 * time.Millisecond}, {"nn.decode", 2 * time.Millisecond}}}
	frame := AppendResult(nil, want)
	r := bytes.NewReader(frame)
	expectType(t, r, TypeResult)
	got, err := ReadResult(r)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got.HeaderSize() != len(frame) {
		t.Errorf("the header has %d bytes, HeaderSize says %d", len(frame), got.HeaderSize())
	}
}

func TestResultKeepsItsBounds(t *testing.T) {
	in := Result{}
	for range 2 * MaxSpans {
		in.Spans = append(in.Spans, Span{strings.Repeat("x", 1000), time.Second})
	}
	r := bytes.NewReader(AppendResult(nil, in))
	expectType(t, r, TypeResult)
	got, err := ReadResult(r)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Spans) != MaxSpans || len(got.Spans[0].Name) != MaxName {
		t.Errorf("%d spans, first name of %d bytes; want %d and %d", len(got.Spans), len(got.Spans[0].Name), MaxSpans, MaxName)
	}
}

func TestFailRoundTrip(t *testing.T) {
	want := Fail{Code: offload.CodeTrapped, Started: true, Text: "unreachable"}
	r := bytes.NewReader(AppendFail(nil, want))
	expectType(t, r, TypeFail)
	got, err := ReadFail(r)
	if err != nil {
		t.Fatal(err)
	}
	if *got != want {
		t.Errorf("got %+v, want %+v", *got, want)
	}
}

func TestControlRoundTrip(t *testing.T) {
	want := Put{Digest: [32]byte{3}, Size: 2_200_000}
	var got Put
	if err := ExpectControl(bytes.NewReader(AppendControl(nil, TypePut, want)), TypePut, &got); err != nil {
		t.Fatal(err)
	}
	if got.Digest != want.Digest || got.Size != want.Size {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestExpectControl(t *testing.T) {
	fail := Fail{Code: offload.CodeOverloaded, Text: "64 modules"}
	var w Welcome
	err := ExpectControl(bytes.NewReader(AppendFail(nil, fail)), TypeWelcome, &w)
	var got *Fail
	if !errors.As(err, &got) || *got != fail {
		t.Errorf("a Fail in place of a Welcome gave %v, want %v", err, fail)
	}
	err = ExpectControl(bytes.NewReader([]byte{byte(TypePing), 0, 0}), TypeWelcome, &w)
	if !errors.Is(err, ErrFrame) {
		t.Errorf("a Ping in place of a Welcome gave %v, want ErrFrame", err)
	}
}

// Bytes that end inside a frame, or exceed a bound, are errors of their kind and
// never allocate what they only announce.
func TestBadFrames(t *testing.T) {
	tests := []struct {
		name string
		b    []byte
		read func(io.Reader) error
		want error
	}{
		{"call cut", AppendCall(nil, Call{})[1:20], func(r io.Reader) error { _, err := ReadCall(r); return err }, io.ErrUnexpectedEOF},
		{"call too large", AppendCall(nil, Call{Size: MaxPayload + 1})[1:], func(r io.Reader) error { _, err := ReadCall(r); return err }, ErrFrame},
		{"result too large", AppendResult(nil, Result{Size: 1<<32 - 1})[1:], func(r io.Reader) error { _, err := ReadResult(r); return err }, ErrFrame},
		{"too many spans", append(make([]byte, 13), MaxSpans+1), func(r io.Reader) error { _, err := ReadResult(r); return err }, ErrFrame},
		{"span cut", append(make([]byte, 13), 1, 200, 'x'), func(r io.Reader) error { _, err := ReadResult(r); return err }, io.ErrUnexpectedEOF},
		{"fail text too long", []byte{0, 0, 0xff, 0xff}, func(r io.Reader) error { _, err := ReadFail(r); return err }, ErrFrame},
		{"control too long", []byte{0xff, 0xff}, func(r io.Reader) error { return ReadControl(r, new(Hello)) }, ErrFrame},
		{"control not msgpack", []byte{0, 2, 0xc1, 0xc1}, func(r io.Reader) error { return ReadControl(r, new(Hello)) }, ErrFrame},
		{"payload cut", []byte("abc"), func(r io.Reader) error { _, err := ReadPayload(r, nil, MaxPayload); return err }, io.ErrUnexpectedEOF},
		{"more after the end", []byte("a"), func(r io.Reader) error { return ReadEnd(r) }, ErrFrame},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.read(bytes.NewReader(tt.b)); !errors.Is(err, tt.want) {
				t.Errorf("read of %x gave %v, want %v", tt.b[:min(len(tt.b), 64)], err, tt.want)
			}
		})
	}
}

func TestReadPayloadAllocatesWhatArrives(t *testing.T) {
	allocs := testing.AllocsPerRun(10, func() {
		buf, _ := ReadPayload(strings.NewReader("short"), nil, MaxPayload)
		if cap(buf) > 2*firstRead {
			t.Fatalf("a peer that announced %d bytes and sent 5 made us allocate %d", MaxPayload, cap(buf))
		}
	})
	if allocs > 5 {
		t.Errorf("%v allocations", allocs)
	}
	want := bytes.Repeat([]byte("0123456789"), 500_000)
	got, err := ReadPayload(bytes.NewReader(want), make([]byte, 3), len(want))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("read of %d bytes gave %d, %v", len(want), len(got), err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(AppendCall(nil, Call{Fn: 1, Size: 3}))
	f.Add(AppendResult(nil, Result{Spans: []Span{{"a", 1}}}))
	f.Add(AppendFail(nil, Fail{Text: "x"}))
	f.Add(AppendControl(nil, TypeHello, Hello{Name: "ue"}))
	f.Add(AppendControl(nil, TypePut, Put{Size: 1}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		typ, err := ReadType(r)
		if err != nil {
			return
		}
		switch typ {
		case TypeCall:
			if c, err := ReadCall(r); err == nil && c.Size > MaxPayload {
				t.Errorf("size %d passed", c.Size)
			}
		case TypeResult:
			if res, err := ReadResult(r); err == nil && (res.Size > MaxPayload || len(res.Spans) > MaxSpans) {
				t.Errorf("%+v passed", res)
			}
		case TypeFail:
			if fl, err := ReadFail(r); err == nil && len(fl.Text) > 3*MaxText {
				t.Errorf("text of %d passed", len(fl.Text))
			}
		default:
			for _, body := range []any{new(Hello), new(Welcome), new(GoAway), new(Have), new(Put), new(Loaded), new(Ping)} {
				ReadControl(bytes.NewReader(b[1:]), body)
			}
		}
	})
}

func expectType(t *testing.T, r io.Reader, want Type) {
	t.Helper()
	got, err := ReadType(r)
	if err != nil || got != want {
		t.Fatalf("type 0x%02x, %v; want 0x%02x", got, err, want)
	}
}
