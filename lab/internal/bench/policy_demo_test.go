package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const demoMetrics = `frame,where,start_ms,latency_ms,call_ms,late,hedged,why
0,ue,0.000,50.000,40.000,0,0,"it takes 40ms here, within 100ms"
1,edge,100.000,30.000,29.000,0,0,
2,edge,200.000,30.000,29.000,0,0,
3,ue,300.000,105.000,104.000,1,1,
4,ue,400.000,90.000,89.000,0,1,
5,ue,500.000,140.000,139.000,1,0,
6,ue,600.000,50.000,49.000,0,0,
7,edge,700.000,150.000,149.000,1,0,
`

// writeDemo writes a report of the demo that began at began.
func writeDemo(t *testing.T, metrics string, began time.Time) string {
	t.Helper()
	dir := t.TempDir()
	summary := `{"began":"` + began.Format(time.RFC3339Nano) + `","late":3,"hedged":2,"lost":0,"kept":0.9,"deadline_ms":100}`
	for name, text := range map[string]string{"metrics.csv": metrics, "summary.json": summary} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// A frame that was under way at the fault is the first one after it, and the host is asked until a frame is placed on the UE: not by
// one that was begun there, too, or that ran there since the host had no answer.
func TestDemoRunUntilMoved(t *testing.T) {
	began := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		at          time.Duration
		after       int
		asked, late int
	}{
		{215 * time.Millisecond, 6, 4, 2}, // during frame 2
		{250 * time.Millisecond, 5, 3, 2}, // between two frames
		{406 * time.Millisecond, 4, 2, 1},
		{time.Minute, 0, 0, 0}, // after the end
	} {
		r, err := readDemo(writeDemo(t, demoMetrics, began), began.Add(tt.at))
		if err != nil {
			t.Fatal(err)
		}
		asked, late := r.untilMoved()
		if len(r.after()) != tt.after || asked != tt.asked || late != tt.late {
			t.Errorf("fault after %v: %d frames after it, %d asked, %d late; want %d, %d, %d", tt.at, len(r.after()), asked, late, tt.after, tt.asked, tt.late)
		}
		if got := r.onEdgeBefore(); tt.at == 250*time.Millisecond && got != 2.0/3 {
			t.Errorf("%v of the frames before are on the edge host; want two of three", got)
		}
		if got := r.lateShare(); got != 37.5 || *r.Kept != 0.9 || r.Deadline != 100 {
			t.Errorf("%v %% late, %v kept, deadline %v ms", got, *r.Kept, r.Deadline)
		}
	}
}

func TestDemoReportsThatAreNone(t *testing.T) {
	for name, metrics := range map[string]string{
		"empty":          "",
		"no such column": "frame,where\n0,ue\n",
		"no number":      strings.Replace(demoMetrics, "300.000", "soon", 1),
		"short row":      demoMetrics + "8,ue\n",
		"no frame":       demoMetrics[:strings.Index(demoMetrics, "\n")+1],
	} {
		if r, err := readDemo(writeDemo(t, metrics, time.Now()), time.Time{}); err == nil {
			t.Errorf("%s: %+v; want an error", name, r)
		}
	}
}

func TestFramesDone(t *testing.T) {
	for line, want := range map[string]int{
		"edge  10.0 FPS: 51 of 200":      51,
		"ue     7.1 FPS: 0 of 200":       0,
		"edge  10.0 FPS: 51 of 300":      -1, // another total is another bar
		"what fidelities cost: 5 of 200": -1,
		"page: http://127.0.0.1:8080/":   -1,
		"":                               -1,
	} {
		if got, ok := framesDone(line, 200); ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %d, %v; want %d", line, got, ok, want)
		}
	}
}

// Programs that are not there are missing, and not a crash.
func TestDemoWithoutPrograms(t *testing.T) {
	d := &Demo{}
	for _, s := range d.scenes() {
		if figures, err := s.run(t.Context(), s.name); err == nil || !strings.Contains(err.Error(), "make build") {
			t.Errorf("%s: %v, %v; want an error that says make build", s.name, figures, err)
		}
	}
}
