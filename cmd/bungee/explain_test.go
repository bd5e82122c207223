package main

import (
	"bytes"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/internal/explain"
)

// heated is the log of a device that grows hot: 60 calls on the UE, and 40 on the edge host.
func heated(t *testing.T) []byte {
	t.Helper()
	log, err := explain.Append(nil, &explain.Record{Head: &explain.Head{Version: explain.Version, Policy: "policy.Threshold"}})
	if err != nil {
		t.Fatal(err)
	}
	add := func(r *explain.Record) {
		if log, err = explain.Append(log, r); err != nil {
			t.Fatal(err)
		}
	}
	for n := range uint64(100) {
		at := time.Duration(n) * 100 * time.Millisecond
		where, why, took := policy.OnUE, policy.Why{Reason: policy.InTime, A: 0.02, B: 0.1}, 20*time.Millisecond
		if n >= 60 {
			where, why, took = policy.OnEdge, policy.Why{Reason: policy.Hot, A: 42, B: 41.5}, 30*time.Millisecond
		}
		if n%10 == 0 {
			v := &policy.View{
				At: at, Device: policy.Device{Temperature: policy.Known(36 + float64(n)/10), Limit: policy.Known(45.0)},
				Hosts:     []policy.Host{{Name: "edge-1", Ready: true}},
				Functions: []policy.Function{{Name: "main.detect<Objects>", Require: policy.Requirements{Latency: 100 * time.Millisecond}}},
			}
			v.Functions[0].UE.Latency, v.Functions[0].Edge.Latency = policy.Known(20*time.Millisecond), policy.Known(30*time.Millisecond)
			add(&explain.Record{At: at, View: v})
		}
		add(&explain.Record{At: at, Call: &explain.Call{Call: policy.Call{Number: n, Ready: true}, Where: where, Reason: why.Reason, A: why.A, B: why.B}})
		add(&explain.Record{At: at + took, End: &explain.End{Where: where, Took: took}})
	}
	return log
}

func runExplain(t *testing.T, log []byte, args ...string) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, log, 0o600); err != nil {
		t.Fatal(err)
	}
	c := explainCommand()
	var out bytes.Buffer
	c.SetOut(&out)
	c.SetErr(io.Discard)
	c.SetArgs(append(args, path))
	err := c.Execute()
	return out.String(), err
}

// The story of a log says where calls went, when, why, and how long they took there.
func TestExplain(t *testing.T) {
	picture := filepath.Join(t.TempDir(), "story.svg")
	got, err := runExplain(t, heated(t), "-o", picture)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"was called 100 times: 60 on the UE, 40 on an edge host",
		"0s  it begins on the ue, because it takes 20ms here, within 100ms",
		"6s  it goes to the edge, because the UE has 42.0 °C, limit 41.5",
		"On the edge half of the calls took 30ms, one in twenty over 30ms, and 0 of 40 were late.",
		"The device had 36.0 to 45.0 °C.",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the story lacks %q:\n%s", want, got)
		}
	}
	f, err := os.Open(picture)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	circles := 0
	for d := xml.NewDecoder(f); ; {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("the picture is no XML: %v", err)
		}
		if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "circle" {
			circles++
		}
	}
	if circles != 100 {
		t.Errorf("the picture has %d calls, want 100", circles)
	}
}

// A log that is cut tells what it has, and that it is cut.
func TestExplainTruncated(t *testing.T) {
	log := heated(t)
	got, err := runExplain(t, log[:len(log)/2])
	if err != nil || !strings.Contains(got, "cannot be read further: line") || !strings.Contains(got, explain.ErrTruncated.Error()) {
		t.Errorf("%v\n%s", err, got)
	}
	if _, err := runExplain(t, []byte("no log\n")); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a file that is no log: %v", err)
	}
}

// Another policy is scored on the same calls.
func TestExplainReplay(t *testing.T) {
	got, err := runExplain(t, heated(t), "--replay", "--policy", "ue")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]string{}
	for line := range strings.Lines(got) {
		if f := strings.Fields(strings.TrimPrefix(line, "the ")); len(f) > 6 {
			rows[f[0]] = f[1:]
		}
	}
	if log, ue := rows["log's"], rows["ue"]; len(log) < 5 || len(ue) < 5 || log[0] != "60" || log[1] != "40" || log[2] != "1" || log[4] != "24ms" || ue[0] != "100" || ue[2] != "0" || ue[4] != "20ms" {
		t.Errorf("got\n%s", got)
	}
	if _, err := runExplain(t, heated(t), "--replay", "--policy", "astrology"); err == nil || !strings.Contains(err.Error(), "adaptive") {
		t.Errorf("an unknown policy: %v", err)
	}
}
