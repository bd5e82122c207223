package check

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/elastic"
)

// A judge that finds nothing proves nothing: each of these must be found.
func TestJudgesFind(t *testing.T) {
	const moves = "net adversary delay=1ms\nchannel standby=B\nsend n=3 size=8\nmove host=A\nsend n=5 size=8\nwait for=100ms\n"
	faults := []struct {
		name, script, want string
		sabotage           sabotage
	}{
		{"a healthy host is left", moves, "the healthy host A", moved(elastic.Event{Kind: elastic.FellBack, From: "A", To: "B"})},
		{"a fallback lasts", moves, "fallback takes too long", moved(elastic.Event{Kind: elastic.FellBack, From: "A", To: "A", Took: time.Hour})},
		{"an event after the end", moves, "after Ended", moved(elastic.Event{Kind: elastic.Ended}, elastic.Event{Kind: elastic.Ended})},
		{"hosts are left for one message", "net adversary\nchannel deadline=50ms\nsend n=1 stubborn=1\nmove host=A\nwait for=3s\n", "left without end",
			moved(elastic.Event{Kind: elastic.FellBack, From: "A", To: "B"}, elastic.Event{Kind: elastic.FellBack, From: "B", To: "A"},
				elastic.Event{Kind: elastic.FellBack, From: "A", To: "B"})},
		{"a standby is passed over", moves + "wait for=6s\ncrash host=A told\nsend n=1\nwait for=5s\n", "passed over: first standby",
			sabotage{event: func(e elastic.Event, of func(elastic.Event)) {
				if e.Kind == elastic.FellBack {
					e.To = ""
				}
				of(e)
			}}},
		{"checkpoints", moves, "checkpoints without need", sabotage{stats: func(s *elastic.Stats) { s.Checkpoints = 1e6 }}},
		{"replays", moves, "replays without end", sabotage{stats: func(s *elastic.Stats) { s.Replayed = 1e6 }}},
		{"a move fails", moves, "move without fault failed", sabotage{move: func(error) error { return errors.New("no") }}},
		{"a move lasts", moves + "wait for=30s\n", "move without fault lasted", sabotage{move: func(err error) error { time.Sleep(20 * time.Second); return err }}},
		{"a move hangs", moves + "wait for=60s\n", "move hangs", sabotage{move: func(err error) error { time.Sleep(40 * time.Second); return err }}},
		{"a failed move moves", "net adversary delay=20ms\nchannel\nmove host=A patience=1ms\nwait for=1s\n", "failed move changed", sabotage{where: elsewhere()}},
		{"Close lasts", moves + "close\n", "close takes long", sabotage{close: func() { time.Sleep(10 * time.Second) }}},
		{"a panic", moves, "panic left Send", sabotage{send: func() { panic("no") }}},
		{"a foreign host is trusted", "net adversary\nchannel\ncrash host=A\nstart host=A foreign\nmove host=A\nwait for=1s\n", "a foreign host", sabotage{trusting: true}},
		{"nobody hears of a drain", moves + "drain host=A for=40s\n", "drain not heeded", sabotage{deaf: true}},
	}
	for _, fault := range faults {
		t.Run(fault.name, func(t *testing.T) {
			s, err := Parse(fault.script)
			if err != nil {
				t.Fatal(err)
			}
			sound := runner{t: t, count: new(Counts)}
			if why := sound.run(s); why != "" {
				t.Fatalf("without the fault: %s", why)
			}
			r := runner{t: t, count: new(Counts), sabotage: &fault.sabotage}
			if why := r.run(s); !strings.Contains(why, fault.want) {
				t.Errorf("got %.500q, want a reason with %q", why, fault.want)
			}
		})
	}
}

// moved tells of events after each move.
func moved(events ...elastic.Event) sabotage {
	return sabotage{event: func(real elastic.Event, of func(elastic.Event)) {
		of(real)
		if real.Kind != elastic.Moved {
			return
		}
		for _, e := range events {
			of(e)
		}
	}}
}

// elsewhere says that the far endpoint is on B, but for the first time.
func elsewhere() func(Host) Host {
	asked := 0
	return func(h Host) Host {
		if asked++; asked > 1 {
			return B
		}
		return h
	}
}
