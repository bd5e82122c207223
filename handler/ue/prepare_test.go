package ue_test

import (
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/offload/codegen"
)

// An elastic function leads to its description; another function is refused by name.
func TestPrepareTakesElasticFunctions(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := doubler("double", true, double)
		w.engine.set(f.Serve, nil)
		w.startHost(nil)
		h := w.startUE(policy.Always(policy.OnEdge), nil)
		codegen.Made(double, &f.Desc)
		if got := ue.DescOf(double); got != &f.Desc {
			t.Errorf("double leads to %v", got)
		}
		if err := h.Prepare(t.Context(), double); err != nil {
			t.Error(err)
		}
		if err := h.Prepare(t.Context(), isNil); err == nil || !strings.Contains(err.Error(), "func(error) bool is no elastic function") {
			t.Errorf("a plain function: %v", err)
		}
	})
}
