//go:build cgo && opencv

package opencv

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"testing"
)

// BenchmarkInfer reports where the time of a frame goes, on one thread.
func BenchmarkInfer(b *testing.B) {
	img := read(b, file(b, "BUNGEE_MEDIA", "dog.jpg"))
	for _, m := range []Model{yoloFastest(b), yoloxNano(b)} {
		b.Run(m.Name, func(b *testing.B) {
			s := session1(b, open(b, 1, m), m.Name)
			var dec, box, net float64
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := infer(s, img); err != nil {
					b.Fatal(err)
				}
				t := s.Timings()
				dec += t.Decode.Seconds()
				box += t.Letterbox.Seconds()
				net += t.Compute.Seconds()
			}
			b.ReportMetric(dec*1e3/float64(b.N), "decode-ms")
			b.ReportMetric(box*1e3/float64(b.N), "letterbox-ms")
			b.ReportMetric(net*1e3/float64(b.N), "compute-ms")
		})
	}
}

// maxNet is what a second network may add to the resident memory, in KiB. 25 MB
// were measured; an edge host with two has 200 MB for all.
const maxNet = 50 << 10

// TestMemory logs the resident memory with one and with two networks that have
// run. Run alone, it shows what OpenCV and the first network cost.
func TestMemory(t *testing.T) {
	m := yoloFastest(t)
	img := read(t, file(t, "BUNGEE_MEDIA", "dog.jpg"))
	b := open(t, 2, m)
	used := []int{rss(t)}
	for n := 1; n <= 2; n++ {
		if err := b.Warm(t.Context(), m.Name, n); err != nil {
			t.Fatal(err)
		}
		if _, _, err := infer(session1(t, b, m.Name), img); err != nil {
			t.Fatal(err)
		}
		debug.FreeOSMemory()
		used = append(used, rss(t))
	}
	t.Logf("KiB resident with 0, 1, 2 networks: %d", used)
	if more := used[2] - used[1]; more > maxNet {
		t.Errorf("the second network took %d KiB; want at most %d", more, maxNet)
	}
}

// rss returns the resident memory of the process in KiB.
func rss(t *testing.T) int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skipf("no /proc here: %v; on Linux: go test -tags opencv -run TestMemory -v ./hostfunc/nn/opencv", err)
	}
	_, line, _ := strings.Cut(string(status), "VmRSS:")
	var kib int
	if _, err := fmt.Sscan(line, &kib); err != nil {
		t.Fatalf("VmRSS in %q: %v", line, err)
	}
	return kib
}
