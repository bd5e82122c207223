package far_test

import (
	"fmt"
	"testing"

	"github.com/bungee-xr/bungee/internal/budget"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/link/linktest"
	"github.com/bungee-xr/bungee/internal/wire"
)

// BenchmarkServe is what the host's half of a call costs without guest and network: requests are on
// a tape, and the reply of each is its request.
func BenchmarkServe(b *testing.B) {
	for _, size := range []int{0, 100 << 10} {
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) {
			const calls = 100
			call := frame(0, string(make([]byte, size)))
			var tape []byte
			for range calls {
				tape = append(tape, call...)
			}
			cfg := echoes
			cfg.Memory = budget.New(1<<30).Share(1, 0)
			s := far.NewServer(cfg)
			defer s.Close()
			b.ReportAllocs()
			for b.Loop() {
				s.Serve(b.Context(), wire.TypeCall, linktest.NewTape(tape[1:]))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/calls, "ns/call")
		})
	}
}
