package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"testing"
	"time"
)

// asChild in the environment makes this program run scripts for the process that started
// it. A child starts no children.
const asChild = "BUNGEE_CHECK_CHILD"

// IsChild says whether [Seeds.Run] of another process started this one. It must then do
// nothing but call [Serve].
func IsChild() bool { return os.Getenv(asChild) != "" }

// A job is a script for a child, and how long it may take in real time.
type job struct {
	Script string
	Limit  time.Duration
}

// A verdict is what a child's script came to.
type verdict struct {
	Why    string
	Counts []int64
}

// Serve runs the scripts that come in, one after the other, until in ends. A script that
// panics outside of what this package guards, or stands still, ends the program: the
// process that started it takes that for why the script failed.
func Serve(in io.Reader, out io.Writer) error { return serve(in, out, nil) }

func serve(in io.Reader, out io.Writer, sab *sabotage) error {
	jobs, verdicts := json.NewDecoder(in), json.NewEncoder(out)
	var failed error
	ok, says, err := runTest(func(t *testing.T) {
		debug.SetTraceback("all")
		for failed == nil {
			failed = serveOne(t, jobs, verdicts, sab)
		}
	})
	switch {
	case errors.Is(failed, io.EOF):
		return nil
	case failed == nil && err == nil && !ok:
		return fmt.Errorf("the checker itself failed: %s", says)
	}
	return errors.Join(err, failed)
}

func serveOne(t *testing.T, jobs *json.Decoder, verdicts *json.Encoder, sab *sabotage) error {
	var j job
	if err := jobs.Decode(&j); err != nil {
		return err
	}
	s, err := Parse(j.Script)
	if err != nil {
		return err
	}
	r := &runner{t: t, count: new(Counts), sabotage: sab, most: j.Limit}
	v := verdict{Why: r.run(s)}
	v.Counts = r.count.numbers()
	return verdicts.Encode(v)
}
