package wire

import (
	"bytes"
	"errors"
	"io"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestChannelFramesAtTheirBounds(t *testing.T) {
	const longest = math.MaxUint32 * time.Microsecond
	tests := []struct {
		name string
		golden
		want any
		why  string
	}{
		{"attach", dataFrame(AppendAttach, ReadAttach, Attach{Window: MaxWindow, Deadline: longest}, ""),
			Attach{Window: MaxWindow, Deadline: longest}, "the largest window, the longest deadline"},
		{"attach latest", dataFrame(AppendAttach, ReadAttach, Attach{ID: math.MaxUint64, Fn: math.MaxUint32, Latest: true, Window: 1, Deadline: 1}, ""),
			Attach{ID: math.MaxUint64, Fn: math.MaxUint32, Latest: true, Window: 1, Deadline: time.Microsecond}, "a deadline never becomes none by rounding"},
		{"attach no deadline", dataFrame(AppendAttach, ReadAttach, Attach{Window: 1, Deadline: longest + 1}, ""),
			Attach{Window: 1}, "what does not fit is no deadline"},
		{"credit", dataFrame(appendCredit, ReadCredit, Credit{math.MaxUint64, 1 << 63, math.MaxUint64}, ""),
			Credit{math.MaxUint64, 1 << 63, math.MaxUint64}, "any grant is a frame: what it means is the channel's matter"},
		{"message", dataFrame(AppendMessage, ReadMessage, Message{ID: 1, Epoch: math.MaxUint32, Seq: math.MaxUint64, Size: MaxPayload}, ""),
			Message{Epoch: math.MaxUint32, Seq: math.MaxUint64, Size: MaxPayload}, "a Message's stream says the attachment, so the ID is not sent"},
		{"single", dataFrame(AppendSingle, ReadSingle, Message{ID: math.MaxUint64, Quiet: true, Size: MaxPayload}, ""),
			Message{ID: math.MaxUint64, Quiet: true, Size: MaxPayload}, "a Single has an ID"},
		{"outcome", dataFrame(AppendOutcome, ReadOutcome, Outcome{Epoch: math.MaxUint32, Seq: math.MaxUint64, Status: 255, Run: longest, Size: MaxPayload}, ""),
			Outcome{Epoch: math.MaxUint32, Seq: math.MaxUint64, Status: 255, Run: longest, Size: MaxPayload}, "any status is a frame: the guest ABI says what it means"},
		{"halt", dataFrame(AppendHalt, ReadHalt, Halt{Seq: math.MaxUint64, Fail: Fail{Code: 255, Text: strings.Repeat("x", MaxText+1)}}, ""),
			Halt{Seq: math.MaxUint64, Fail: Fail{Code: 255, Text: strings.Repeat("x", MaxText)}}, "a longer text is cut"},
		{"state", dataFrame(appendState, ReadState, State{Seq: math.MaxUint64, Took: longest, Size: MaxState}, ""),
			State{Seq: math.MaxUint64, Took: longest, Size: MaxState}, "the largest state"},
		{"state same", dataFrame(appendState, ReadState, State{Seq: 1, Same: true}, ""),
			State{Seq: 1, Same: true}, "nothing follows an unchanged state"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := bytes.NewReader(tt.bytes[1:])
			got, err := tt.read(r)
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil || r.Len() != 0 {
				t.Errorf("%s: read of %x: %v, %d bytes left; -want +got:\n%s", tt.why, tt.bytes[:min(len(tt.bytes), 64)], err, r.Len(), diff)
			}
		})
	}
}

func TestRefusedChannelFrames(t *testing.T) {
	// changed returns a golden frame with the byte at an offset changed.
	changed := func(name string, at int, to byte) golden {
		g := goldenFrames[name]
		g.bytes = bytes.Clone(g.bytes)
		g.bytes[at] = to
		return g
	}
	tests := []struct {
		name string
		golden
		why string
	}{
		{"attach without a window", dataFrame(AppendAttach, ReadAttach, Attach{}, ""), "nothing could ever be sent"},
		{"attach with a large window", dataFrame(AppendAttach, ReadAttach, Attach{Window: MaxWindow + 1}, ""), "a window is memory of the host"},
		{"attach with the largest window", dataFrame(AppendAttach, ReadAttach, Attach{Window: math.MaxUint32}, ""), "likewise"},
		{"attach in another mode", changed("attach", 45, 2), "there are two modes"},
		{"large message", dataFrame(AppendMessage, ReadMessage, Message{Size: MaxPayload + 1}, ""), "a payload is memory of the host"},
		{"message with other flags", changed("message", 13, 0x81), "flags that we do not know may not be left aside"},
		{"large single", dataFrame(AppendSingle, ReadSingle, Message{Size: math.MaxUint32}, ""), "a payload is memory of the host"},
		{"part of one", changed("part", 22, 1), "a whole message is a Single"},
		{"part beyond the last", changed("part", 21, 4), "there are four, from 0"},
		{"part of too many", changed("part", 22, 17), "each part is a stream"},
		{"single with other flags", changed("single", 21, 4), "flags that we do not know may not be left aside"},
		{"large outcome", dataFrame(AppendOutcome, ReadOutcome, Outcome{Size: MaxPayload + 1}, ""), "a payload is memory of the UE"},
		{"halt with a long text", changed("halt", 11, 0x10), "4,098 bytes: a text only explains"},
		{"large state", dataFrame(appendState, ReadState, State{Size: MaxState + 1}, ""), "a checkpoint is memory of the UE"},
		{"large restore", dataFrame(appendRestore, ReadState, State{Size: MaxState + 1}, ""), "a state is memory of the host"},
		{"unchanged state that follows", dataFrame(appendState, ReadState, State{Same: true, Size: 1}, ""), "it is one or the other"},
		{"state with other flags", changed("state", 13, 2), "flags that we do not know may not be left aside"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := tt.read(bytes.NewReader(tt.bytes[1:])); !errors.Is(err, ErrFrame) {
				t.Errorf("%s: read of %x gave %+v, %v, want %v", tt.why, tt.bytes, got, err, ErrFrame)
			}
		})
	}
}

// A header that announces the most costs what a header costs: its payload is
// the caller's, by ReadPayload.
func TestHeadersAllocateLittle(t *testing.T) {
	const rounds, most = 1000, 256 // bytes a frame; a Halt's text is as long as it says
	for name, g := range goldenFrames {
		if g.bytes[0] < byte(TypeAttach) || g.bytes[0] > byte(TypePart) {
			continue
		}
		r := bytes.NewReader(nil)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range rounds {
			r.Reset(g.bytes[1:])
			if _, err := g.read(r); err != nil {
				t.Fatal(err)
			}
		}
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) / rounds; got > most {
			t.Errorf("read of %s %x allocates %d bytes, want at most %d", name, g.bytes, got, most)
		}
	}
}

// narrow is a reader that fails a test when it is asked for more than a frame
// may hold. What a decoder reads at once, it has allocated.
type narrow struct {
	io.Reader
	t    *testing.T
	most int
}

func (n narrow) Read(p []byte) (int, error) {
	if len(p) > n.most {
		n.t.Fatalf("a decoder made room for %d bytes, its frame holds at most %d", len(p), n.most)
	}
	return n.Reader.Read(p)
}

// fuzzFrame checks a decoder of a frame against its encoder: what it accepts is
// what the encoder makes, byte for byte where canonical says so, and what it
// refuses is an error of the kind that says why.
func fuzzFrame[T any](f *testing.F, most int, write func([]byte, T) []byte, read func(io.Reader) (T, error), canonical func(T) bool) {
	for _, g := range goldenFrames {
		f.Add(append(g.bytes[1:len(g.bytes):len(g.bytes)], g.payload...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		got, err := read(narrow{r, t, most})
		if err != nil {
			if !errors.Is(err, ErrFrame) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("read of %x gave %v, want %v or %v", b, err, ErrFrame, io.ErrUnexpectedEOF)
			}
			return
		}
		again := write(nil, got)[1:]
		if used := b[:len(b)-r.Len()]; canonical(got) && !bytes.Equal(again, used) {
			t.Errorf("%+v was read from %x and is written as %x", got, used, again)
		}
		if twice, err := read(bytes.NewReader(again)); err != nil || !reflect.DeepEqual(twice, got) {
			t.Errorf("%+v is written as %x and read as %+v, %v", got, again, twice, err)
		}
	})
}

func always[T any](T) bool { return true }

func FuzzReadAttach(f *testing.F) {
	fuzzFrame(f, MaxExtensions, AppendAttach, ReadAttach, always)
}

func FuzzReadCredit(f *testing.F) {
	fuzzFrame(f, 24, appendCredit, ReadCredit, always)
}

func FuzzReadMessage(f *testing.F) {
	fuzzFrame(f, 17, AppendMessage, ReadMessage, always)
}

func FuzzReadPart(f *testing.F) {
	fuzzFrame(f, 26, AppendPart, ReadPart, always)
}

func FuzzReadSingle(f *testing.F) {
	fuzzFrame(f, 17, AppendSingle, ReadSingle, always)
}

func FuzzReadOutcome(f *testing.F) {
	fuzzFrame(f, outcomeSize, AppendOutcome, ReadOutcome, always)
}

// A Fail's started may be any byte but 0, and bytes of its text that are not
// UTF-8 are replaced: a Halt need not come out as it went in.
func FuzzReadHalt(f *testing.F) {
	fuzzFrame(f, MaxText, AppendHalt, ReadHalt, func(h Halt) bool {
		return !h.Fail.Started && !strings.Contains(h.Fail.Text, "?")
	})
}

func FuzzReadSnapshot(f *testing.F) {
	fuzzFrame(f, 16, AppendSnapshot, ReadSnapshot, always)
}

func FuzzReadState(f *testing.F) {
	fuzzFrame(f, stateSize, appendState, ReadState, always)
}
