package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bungee-xr/bungee/offload"
)

// recordedWasm is the digest of the module in the recorded session.
var recordedWasm = [32]byte{
	0x93, 0xa4, 0x4b, 0xbb, 0x96, 0xc7, 0x51, 0x21, 0x8e, 0x4c, 0x00, 0xd4, 0x79, 0xe4, 0xc1, 0x43,
	0x58, 0x12, 0x2a, 0x38, 0x9a, 0xcc, 0xa1, 0x62, 0x05, 0xb1, 0xe4, 0xd0, 0xdc, 0x5f, 0x94, 0x76,
}

// recordedExtensions are of a type that nobody knows, and a lease.
var recordedExtensions = Extensions{}.Append(0xee, []byte("??")).Append(ExtensionLease, []byte("abc"))

// testdata/v2 has the streams of a session as the first release of version 2 writes
// them. Its bytes stay as they are: later decoders of version 2 read them, with
// fields that were added later zero.
func TestRecordedVersion2(t *testing.T) {
	tests := []struct {
		stream   string
		ue, host []any // the frames each way; a string is a payload
	}{
		{"1-session", []any{Hello{Name: "headset", Session: 5, Extensions: recordedExtensions}}, []any{Welcome{Name: "edge-1", Cores: 4, Lifeline: 7000}, GoAway{Reason: "the host ends"}}},
		{"2-have", []any{Have{Digest: recordedWasm}}, []any{Loaded{}}},
		{"3-put", []any{Put{Digest: recordedWasm, Size: 8}, "\x00asm\x01\x00\x00\x00"}, []any{Loaded{Ready: true}}},
		{"4-call", []any{Call{Module: recordedWasm, Fn: 3, Deadline: 100 * time.Millisecond, Size: 5}, "\xa4pose",
			Call{Module: recordedWasm, Fn: 3, Deadline: 100 * time.Millisecond, Size: 1, Extensions: recordedExtensions}, "\xc0"}, []any{
			Result{Queue: 120 * time.Microsecond, Run: 31 * time.Millisecond, Size: 3,
				Spans: []Span{{"nn.decode", 2 * time.Millisecond}, {"nn.compute", 29 * time.Millisecond}}},
			"\x92\x07\xc3",
			Result{Run: time.Microsecond, Size: 1}, "\xc0",
		}},
		{"5-refused", []any{Call{Module: recordedWasm, Fn: 9}}, []any{Fail{Code: offload.CodeOverloaded, Text: "64 calls wait"}}},
		{"6-trap", []any{Call{Module: recordedWasm, Fn: 4, Deadline: time.Second}}, []any{Fail{Code: offload.CodeTrapped, Started: true, Text: "unreachable"}}},
		{"7-ping", []any{Ping{Token: 41}}, []any{Ping{Token: 41}}},
		{"8-channel", []any{
			Attach{ID: 9, Module: recordedWasm, Fn: 3, Window: 32, Deadline: 100 * time.Millisecond, Extensions: recordedExtensions},
			State{Seq: 40, Size: 2}, "st", Message{Epoch: 2, Seq: 41, Size: 2}, "in",
		}, []any{
			Credit{Messages: 32, Bytes: 1 << 20}, Credit{Messages: 32, Bytes: 1 << 20},
			Outcome{Epoch: 2, Seq: 41, Run: time.Millisecond, Size: 3}, "out", Halt{Fail: Fail{Code: offload.CodeDraining, Text: "drain"}},
		}},
	}
	files, err := os.ReadDir("testdata/v2")
	if err != nil || len(files) != len(tests) {
		t.Errorf("testdata/v2 has %d streams, %v; want %d", len(files), err, len(tests))
	}
	for _, tt := range tests {
		t.Run(tt.stream, func(t *testing.T) {
			ue, host := recorded(t, tt.stream)
			if diff := cmp.Diff(tt.ue, readFrames(t, ue)); diff != "" {
				t.Errorf("from the UE: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(tt.host, readFrames(t, host)); diff != "" {
				t.Errorf("from the host: -want +got:\n%s", diff)
			}
		})
	}
}

// recorded returns both directions of a recorded stream. A line of its file
// begins with > for what the UE sent, < for what the host sent, # for a comment.
func recorded(t *testing.T, stream string) (ue, host string) {
	t.Helper()
	text, err := os.ReadFile("testdata/v2/" + stream + ".hex")
	if err != nil {
		t.Fatal(err)
	}
	sent := map[string]string{}
	for line := range strings.Lines(string(text)) {
		from, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		if from == "#" {
			continue
		}
		b, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		sent[from] += string(b)
	}
	return sent[">"], sent["<"]
}

// readFrames reads one direction of a stream to its end, by the golden frames'
// decoders, with the payload that a frame announces as a string.
func readFrames(t *testing.T, b string) (frames []any) {
	t.Helper()
	byType := map[Type]golden{}
	for _, g := range goldenFrames {
		byType[Type(g.bytes[0])] = g
	}
	for r := strings.NewReader(b); r.Len() > 0; {
		typ, err := ReadType(r)
		if err != nil {
			t.Fatal(err)
		}
		g, ok := byType[typ]
		if !ok {
			t.Fatalf("a frame of type 0x%02x in %x", typ, b)
		}
		frame, err := g.read(r)
		if err != nil {
			t.Fatalf("%T in %x: %v", frame, b, err)
		}
		frames = append(frames, frame)
		if n := announced(frame); n > 0 {
			payload, err := ReadPayload(r, nil, n)
			if err != nil {
				t.Fatalf("payload of %+v in %x: %v", frame, b, err)
			}
			frames = append(frames, string(payload))
		}
	}
	return frames
}

func announced(frame any) int {
	switch f := frame.(type) {
	case Put:
		return f.Size
	case Call:
		return f.Size
	case Result:
		return f.Size
	case State:
		return f.Size
	case Message:
		return f.Size
	case Outcome:
		return f.Size
	}
	return 0
}

// Builds of one version may differ in fields at the end of a control frame.
func TestControlFramesOfOtherLengths(t *testing.T) {
	tests := []struct {
		name, body string // msgpack
		want       Welcome
		ok         bool
		why        string
	}{
		{"none", "\x90", Welcome{}, true, "all fields were added later"},
		{"fewer", "\x91\xa1h", Welcome{Name: "h"}, true, "an earlier peer"},
		{"more", "\xdc\x00\x08\xa1h\x02\x00\xc4\x10" + strings.Repeat("\x00", 17) + "\xc3\x91\x01\xa3new", Welcome{Name: "h", Cores: 2}, true, "a later peer"},
		{"cut", "\x92\xa1h", Welcome{}, false, "an array of two fields has both"},
		{"of another type", "\x92\x01\x02", Welcome{}, false, "fields keep their places"},
		{"not an array", "\x81\xa4Name\xa1h", Welcome{}, false, "fields have no names on the network"},
		{"empty", "", Welcome{}, false, "a body is an array"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Welcome{Name: "old", Cores: 99} // not to be left standing
			frame := string([]byte{0, byte(len(tt.body))}) + tt.body
			err := ReadControl(strings.NewReader(frame), &got)
			if (err == nil) != tt.ok || tt.ok && got != tt.want {
				t.Errorf("%s: read of %x gave %+v, %v; want %+v, ok %v", tt.why, frame, got, err, tt.want, tt.ok)
			}
		})
	}
}

// What ReadControl accepts in any of the control frames is written and read again
// as the same.
func FuzzReadControl(f *testing.F) {
	control := map[string]golden{}
	for name, g := range goldenFrames {
		if t := Type(g.bytes[0]); t < TypeCall || t >= TypePing {
			control[name] = g
			f.Add(g.bytes[1:])
		}
	}
	f.Add([]byte("\x00\x0d\xdc\x00\x08\xa1h\x02\x00\x00\x00\xc3\x91\x01\xc0")) // fields that we do not know
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > MaxControl/2 {
			return // fields that are missing in it would not fit when they are added
		}
		for name, g := range control {
			got, err := g.read(narrow{bytes.NewReader(b), t, MaxControl})
			if err != nil {
				if !errors.Is(err, ErrFrame) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%s: read of %x gave %v, want %v or %v", name, b, err, ErrFrame, io.ErrUnexpectedEOF)
				}
				continue
			}
			again := AppendControl(nil, Type(g.bytes[0]), got)
			if twice, err := g.read(bytes.NewReader(again[1:])); err != nil || !reflect.DeepEqual(twice, got) {
				t.Errorf("%s: %+v of %x is written as %x and read as %+v, %v", name, got, b, again, twice, err)
			}
		}
	})
}
