package check

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/elastic"
)

// asSabotage in the environment of a child names one of the sabotages.
const asSabotage = "BUNGEE_CHECK_SABOTAGE"

// sabotages are those that end a child.
var sabotages = map[string]*sabotage{
	"panic": {result: func(elastic.Result[out], func(elastic.Result[out])) { go panic("boom") }},
	"hang": {result: func(elastic.Result[out], func(elastic.Result[out])) {
		for {
			runtime.Gosched()
		}
	}},
}

// A script that ends its process has failed like any other, and the next one runs.
func TestDeathsAreFound(t *testing.T) {
	s, err := Parse("channel\nsend n=1")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"": "", "panic": "the program panicked: boom", "hang": standsStill} {
		t.Run("by "+name, func(t *testing.T) {
			t.Setenv(asSabotage, name)
			c := &child{}
			defer c.end()
			for range 2 {
				v, err := c.run(s, 5*time.Second)
				if err != nil {
					t.Fatal(err)
				}
				if (want == "") != (v.Why == "") || !strings.HasPrefix(v.Why, want) {
					t.Errorf("got %.300q, want %q", v.Why, want)
				}
			}
		})
	}
}

// A child that started children could fill the machine.
func TestChildrenHaveNone(t *testing.T) {
	t.Setenv(asChild, "1")
	s := &Seeds{N: 1}
	if err := s.Run(t.Context()); err == nil || s.Counts.Seeds.Load() > 0 {
		t.Errorf("a child ran %d seeds in others, %v", s.Counts.Seeds.Load(), err)
	}
}
