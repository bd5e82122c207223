package check

import (
	"errors"
	"flag"
	"io"
	"os"
	"reflect"
	"regexp"
	"testing"
	"time"
)

// runTest runs f as a test, though this program is no test: only tests have virtual time.
// It returns what package testing prints.
func runTest(f func(*testing.T)) (ok bool, says string, err error) {
	testing.Init()
	if !flag.Parsed() {
		flag.CommandLine.Parse(nil) // the program has other flags, of its own
	}
	out, err := os.CreateTemp("", "bungee-check-")
	if err != nil {
		return false, "", err
	}
	defer os.Remove(out.Name())
	stdout := os.Stdout
	os.Stdout = out // package testing knows no other way
	defer func() { os.Stdout = stdout }()
	ok = testing.MainStart(deps{}, []testing.InternalTest{{Name: "check", F: f}}, nil, nil, nil).Run() == 0
	b, err := os.ReadFile(out.Name())
	return ok, string(b), errors.Join(err, out.Close())
}

// deps is what package testing asks of a test binary. Of these only MatchString
// matters here: the rest is for profiles, coverage and fuzzing.
type deps struct{}

func (deps) MatchString(pat, s string) (bool, error)                  { return regexp.MatchString(pat, s) }
func (deps) ImportPath() string                                       { return "" }
func (deps) ModulePath() string                                       { return "" }
func (deps) SetPanicOnExit0(bool)                                     {}
func (deps) StartCPUProfile(io.Writer) error                          { return errNotHere }
func (deps) StopCPUProfile()                                          {}
func (deps) StartTestLog(io.Writer)                                   {}
func (deps) StopTestLog() error                                       { return nil }
func (deps) WriteProfileTo(string, io.Writer, int) error              { return errNotHere }
func (deps) RunFuzzWorker(func(corpusEntry) error) error              { return errNotHere }
func (deps) ReadCorpus(string, []reflect.Type) ([]corpusEntry, error) { return nil, errNotHere }
func (deps) CheckCorpus([]any, []reflect.Type) error                  { return errNotHere }
func (deps) ResetCoverage()                                           {}
func (deps) SnapshotCoverage()                                        {}

func (deps) CoordinateFuzzing(time.Duration, int64, time.Duration, int64, int, []corpusEntry, []reflect.Type, string, string) error {
	return errNotHere
}

func (deps) InitRuntimeCoverage() (string, func(string, string) (string, error), func() float64) {
	return "", nil, nil
}

var errNotHere = errors.New("only test binaries can do this")

// corpusEntry is package testing's.
type corpusEntry = struct {
	Parent     string
	Path       string
	Data       []byte
	Values     []any
	Generation int
	IsSeed     bool
}
