package host_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/offload"
)

// The host's own limit on memory is a ceiling, whatever policy and module say.
func TestMemoryCeiling(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		why         string
		flag, asked int64
		policy      string
		want        int64 // 0: denied
	}{
		{"nobody says anything", 0, 0, "", executor.DefaultMemory},
		{"the default holds for who asks for more", 0, 3 << 30, "", 0},
		{"less is what a module may ask for", 0, 16 * mib, "", 16 * mib},
		{"the flag", 32 * mib, 0, "", 32 * mib},
		{"more than the flag", 32 * mib, 33 * mib, "", 0},
		{"a higher flag", 4 << 30, 3 << 30, "", 3 << 30},
		{"the policy, where there is no flag", 0, 3 << 30, "[default.limits]\nmemory = \"3 GiB\"\n", 3 << 30},
		{"more than the policy", 0, 3<<30 + 1, "[default.limits]\nmemory = \"3 GiB\"\n", 0},
		{"the policy, over the flag", 32 * mib, 0, "[default.limits]\nmemory = \"3 GiB\"\n", 32 * mib},
		{"a module within the policy, over the flag", 32 * mib, 64 * mib, "[default.limits]\nmemory = \"3 GiB\"\n", 0},
	} {
		got := int64(0)
		engine := &loader{Engine: echoEngine, instantiate: func(_ context.Context, cfg executor.InstanceConfig) { got = cfg.Limits.WithDefaults().Memory }}
		engine.Manifest = capability.Manifest{Limits: capability.Limits{Memory: tt.asked}}
		cfg := host.Config{Engine: engine, Policy: policy(t, tt.policy), MemoryLimit: tt.flag}
		serve(t, cfg, []string{"ann"}, func(t *testing.T, _ *host.Handler, conns []*link.Conn) {
			got = 0
			answer := ask(t, conns[0], put(wasm), true)
			if tt.want == 0 {
				if fail := failOf(t, answer); fail.Code != offload.CodeDenied || !bytes.Contains(answer, []byte("limits.memory")) {
					t.Errorf("%s: got %+v, want %v", tt.why, fail, offload.CodeDenied)
				}
			}
			if got != tt.want {
				t.Errorf("%s: an instance may have %d bytes, want %d", tt.why, got, tt.want)
			}
		})
	}
}
