package wire

import (
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// goldenFrames are the examples of docs/protocol.md.
var goldenFrames = map[string][]byte{
	"hello":   AppendControl(nil, TypeHello, Hello{Name: "ue"}),
	"welcome": AppendControl(nil, TypeWelcome, Welcome{Name: "edge", Cores: 2}),
	"goaway":  AppendControl(nil, TypeGoAway, GoAway{Reason: "drain"}),
	"ping":    AppendControl(nil, TypePing, Ping{Token: 7}),
	"call":    append(AppendCall(nil, Call{Module: [32]byte{1}, Fn: 3, Deadline: 500 * time.Millisecond, Size: 2}), "hi"...),
	"result": append(AppendResult(nil, Result{
		Queue: time.Millisecond, Run: 2 * time.Millisecond, Size: 2,
		Spans: []Span{{"x", 3 * time.Microsecond}},
	}), "ok"...),
	"fail": AppendFail(nil, Fail{Code: CodeDraining, Text: "no"}),
}

// A change of these bytes is a change of the protocol: it needs a new version.
func TestDocumentHasTheBytes(t *testing.T) {
	doc, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "```golden\n")
	table, _, _ := strings.Cut(rest, "```")
	seen := 0
	trailingHex := regexp.MustCompile(`(?:\s[0-9a-f]+)+$`)
	for line := range strings.Lines(table) {
		line = strings.TrimRight(line, "\n")
		name, _, _ := strings.Cut(line, " ")
		want, ok := goldenFrames[name]
		if !ok {
			t.Errorf("the document has a frame %q that is not tested", name)
			continue
		}
		seen++
		if got := strings.ReplaceAll(trailingHex.FindString(line), " ", ""); got != hex.EncodeToString(want) {
			t.Errorf("%s: the document has %s, the code makes %x", name, got, want)
		}
	}
	if seen != len(goldenFrames) {
		t.Errorf("the document has %d of %d frames", seen, len(goldenFrames))
	}
}
