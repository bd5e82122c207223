package notifier

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// aRecording is of a board that warms up for so many samples.
func aRecording(t *testing.T, samples int) string {
	t.Helper()
	var b bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		warm := &board{metric: Temperature, sensors: map[string]float64{"die": 40}, load: 0.5}
		n, err := New(&Config{Sources: []Source{warm, sourceFunc(func(*Round) { warm.sensors["die"]++ })}})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(samples)*usual-usual/2)
		defer cancel()
		if err := n.Record(ctx, &b); err != nil {
			t.Fatal(err)
		}
	})
	return b.String()
}

func TestReplay(t *testing.T) {
	text := aRecording(t, 5)
	p, err := NewReplay(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	g := newRig(p)
	for i := range 5 {
		s := g.after(usual)
		wantValue(t, s, Temperature, 40+float64(i), "replayed die")
		wantValue(t, s, SystemCPU, 0.5, "replayed test")
		wantUnknown(t, s, Battery, "replayed no source tells it")
	}
	wantValue(t, g.after(usual/2), Temperature, 44, "replayed die")
	if age := g.last.Get(Temperature).Age; age != usual/2 {
		t.Errorf("between two records a reading is %v old; want %v", age, usual/2)
	}
	wantUnknown(t, g.after(usual), Temperature, "the replay has ended")
}

// A recording that a device's crash has cut anywhere is replayed as far as it goes, and then says so.
func TestReplayThatIsCutOff(t *testing.T) {
	text := aRecording(t, 3)
	for cut := range len(text) {
		p, err := NewReplay(strings.NewReader(text[:cut]))
		if heading := strings.IndexByte(text, '\n'); cut <= heading {
			if err == nil || !errors.Is(err, errCut) {
				t.Fatalf("cut at %d, in its heading: %v", cut, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		g := newRig(p)
		records := strings.Count(text[:cut], "\n") - 1
		for i := range 3 {
			s := g.after(usual)
			if i < records {
				wantValue(t, s, Temperature, 40+float64(i), "replayed die")
			}
		}
		wantUnknown(t, g.after(2*usual), Temperature, fmt.Sprintf("the replay has ended: the recording is cut off after line %d", records+1))
		if t.Failed() {
			t.Fatalf("cut at byte %d of %d", cut, len(text))
		}
	}
}

func TestRecorded(t *testing.T) {
	i := 0
	for s, err := range Recorded(strings.NewReader(aRecording(t, 4))) {
		if err != nil {
			t.Fatal(err)
		}
		if v, _ := s.Value(Temperature); v != 40+float64(i) || s.Gap != (i == 0) || s.Get(Temperature).Source != "die" {
			t.Errorf("sample %d: %+v, gap %v", i, s.Get(Temperature), s.Gap)
		}
		i++
	}
	if i != 4 {
		t.Errorf("%d samples; want 4", i)
	}
}

func TestRecordingsThatAreWrong(t *testing.T) {
	const head = `{"format":"bungee device 1"}` + "\n"
	tests := []struct{ why, text, says string }{
		{"nothing", "", "cut off"},
		{"something else", "ELF\n", "line 1"},
		{"another format", `{"format":"bungee device 9"}` + "\n", "bungee device 9"},
		{"a line that is no JSON", head + "{\n", "line 2"},
		{"a line without end", head + `{"ms":0,"unknown":{"battery":"` + strings.Repeat("x", maxLine) + "\"}}\n", "longer than"},
		{"neither record nor end", head + "{}\n", "neither"},
		{"time that runs back", head + `{"ms":10}` + "\n" + `{"ms":9}` + "\n", "comes after"},
		{"time before the begin", head + `{"ms":-1}` + "\n", "-1 ms"},
		{"a time of no recording", head + `{"ms":9000000000000}` + "\n", "9000000000000 ms"},
		{"records that are missing", head + `{"ms":0}` + "\n" + `{"end":3}` + "\n", "the end of 3 records, after 1"},
		{"a reading from nowhere", head + `{"ms":0,"readings":{"battery":{"v":5}}}` + "\n", "without a source"},
		{"a reading of tomorrow", head + `{"ms":0,"readings":{"battery":{"v":5,"s":"x","a":-1}}}` + "\n", "time to come"},
		{"a number that is too large", head + `{"ms":0,"readings":{"battery":{"v":1e999,"s":"x"}}}` + "\n", "line 2"},
	}
	for _, tt := range tests {
		var err error
		for _, err = range Recorded(strings.NewReader(tt.text)) {
		}
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v; want an error with %q", tt.why, err, tt.says)
		}
	}
}

// What a recording says is believed no more than a sensor is.
func TestReplayIsNotTrusted(t *testing.T) {
	text := `{"format":"bungee device 1"}
{"ms":0,"readings":{"temperature":{"v":50,"s":"die"},"battery":{"v":5000,"s":"BAT0"},"of the future":{"v":1,"s":"x"}}}
{"ms":250,"readings":{"temperature":{"v":110,"s":"die"}}}
{"end":2}
`
	p, err := NewReplay(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	g := newRig(p)
	s := g.after(0)
	wantValue(t, s, Temperature, 50, "replayed die")
	wantUnknown(t, s, Battery, "which cannot be")
	wantUnknown(t, g.after(usual), Temperature, "has jumped by 60")
}

// However sensors are called, what is recorded can be read again.
func TestRecordOfTheLongestNames(t *testing.T) {
	var b bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		n, err := New(&Config{Sources: []Source{sourceFunc(func(r *Round) {
			for m := range Metrics {
				r.Tell(m, max(metrics[m].least, min(metrics[m].most, 1.0/3)), strings.Repeat("<\"", 1000))
			}
		})}})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		ctx, cancel := context.WithTimeout(t.Context(), usual/2)
		defer cancel()
		if err := n.Record(ctx, &b); err != nil {
			t.Fatal(err)
		}
	})
	known := 0
	for s, err := range Recorded(&b) {
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range s.All() {
			if r.Known() {
				known++
			}
		}
	}
	if known != int(numMetrics) {
		t.Errorf("%d of %d metrics are known", known, numMetrics)
	}
}

type brokenWriter struct{ left int }

func (w *brokenWriter) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		return 0, errors.New("the disk is full")
	}
	return len(b), nil
}

func TestRecordTellsWhatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(&Config{Sources: []Source{}})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		if err := n.Record(t.Context(), &brokenWriter{left: 5000}); err == nil || !strings.Contains(err.Error(), "full") {
			t.Errorf("Record: %v; want the writer's error", err)
		}
	})
}

func FuzzRecording(f *testing.F) {
	f.Add([]byte(`{"format":"bungee device 1"}` + "\n" + `{"ms":0,"gap":true,"readings":{"temperature":{"v":51.5,"s":"die","a":4}},"unknown":{"battery":"none"}}` + "\n" + `{"end":1}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		last := time.Time{}
		for s, err := range Recorded(bytes.NewReader(text)) {
			if err != nil {
				break
			}
			if s.At.Before(last) {
				t.Fatal("time runs back")
			}
			last = s.At
			for m, r := range s.All() {
				if r.Known() && r.Why != "" || len(r.Source) > maxName || len(r.Why) > maxName || r.Age < 0 {
					t.Fatalf("%v is %+v", m, r)
				}
			}
		}
		p, err := NewReplay(bytes.NewReader(text))
		if err != nil {
			return
		}
		g := newRig(p)
		for range 5 {
			for m, r := range g.after(time.Second).All() {
				if r.Known() && m.refuse(r.Value) != "" {
					t.Fatalf("%v is %+v", m, r)
				}
			}
		}
	})
}
