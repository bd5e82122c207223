// Command goguest is a Go guest that uses what WASI gives: a request holds a command
// and its arguments, a line each; the reply is its answer. It is built with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -ldflags="-s -w"
package main

import (
	crand "crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

var request, reply []byte

//go:wasmexport bungee_abi
func abi() uint32 { return 1 }

//go:wasmexport bungee_buf
func buf(n uint32) uint32 {
	request = make([]byte, n+1)
	return uint32(uintptr(unsafe.Pointer(&request[0])))
}

//go:wasmexport bungee_call
func call(_, _, n uint32, _ int64) uint64 {
	args := strings.Split(string(request[:n]), "\n")
	answer, err := commands[args[0]](append(args[1:], "", ""))
	reply = append([]byte{0}, answer...)
	if err != nil {
		reply = append([]byte{0}, "error: "+err.Error()...)
	}
	return uint64(uintptr(unsafe.Pointer(&reply[0])))<<32 | uint64(len(reply))
}

var commands = map[string]func(args []string) (string, error){
	"read": func(a []string) (string, error) {
		b, err := os.ReadFile(a[0])
		return string(b), err
	},
	"write":  func(a []string) (string, error) { return "", os.WriteFile(a[0], []byte(a[1]), 0o600) },
	"append": appendTo,
	"rename": func(a []string) (string, error) { return "", os.Rename(a[0], a[1]) },
	// os.Rename refuses an existing folder itself.
	"move":   func(a []string) (string, error) { return "", syscall.Rename(a[0], a[1]) },
	"remove": func(a []string) (string, error) { return "", os.Remove(a[0]) },
	"mkdir":  func(a []string) (string, error) { return "", os.MkdirAll(a[0], 0o700) },
	"link": func(a []string) (string, error) {
		if err := os.Symlink(a[0], a[1]); err != nil {
			return "", err
		}
		return os.Readlink(a[1])
	},
	"pwrite": pwrite,
	"many":   many,
	"list":   list,
	"walk":   walk,
	"stat": func(a []string) (string, error) {
		info, err := os.Stat(a[0])
		if err != nil {
			return strconv.FormatBool(errors.Is(err, fs.ErrNotExist)), nil
		}
		return fmt.Sprint(info.Size(), info.IsDir(), info.ModTime().UTC().Year()), nil
	},
	"touch": func(a []string) (string, error) { return "", os.Chtimes(a[0], time.Unix(5, 0), time.Unix(7, 0)) },
	"times": times,
	"now":   func([]string) (string, error) { return time.Now().UTC().Format(time.RFC3339Nano), nil },
	"sleep": sleep,
	"random": func([]string) (string, error) {
		b := make([]byte, 8)
		_, err := crand.Read(b)
		return fmt.Sprintf("%x %d %s", b, rand.Uint64(), order()), err
	},
	"env":   func([]string) (string, error) { return strings.Join(os.Environ(), ","), nil },
	"args":  func([]string) (string, error) { return strings.Join(os.Args, ","), nil },
	"stdin": func([]string) (string, error) { b, err := io.ReadAll(os.Stdin); return string(b), err },
	"print": func(a []string) (string, error) {
		fmt.Println(a[0])
		fmt.Fprintln(os.Stderr, a[1])
		return "", nil
	},
	"dial": func(a []string) (string, error) { _, err := net.Dial("tcp", a[0]); return "", err },
	"exit": func(a []string) (string, error) { n, _ := strconv.Atoi(a[0]); os.Exit(n); return "", nil },
}

// times tells the times of access and modification, in seconds, and whether the time of
// change is later than both.
func times(a []string) (string, error) {
	info, err := os.Stat(a[0])
	if err != nil {
		return "", err
	}
	st := info.Sys().(*syscall.Stat_t)
	return fmt.Sprint(st.Atime/1e9, " ", st.Mtime/1e9, " ", st.Ctime > st.Mtime), nil
}

func appendTo(a []string) (string, error) {
	f, err := os.OpenFile(a[0], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(a[1])
	return "", errors.Join(err, f.Close())
}

// pwrite writes a[1] at the beginning of a file that is appended to. An os.File would refuse.
func pwrite(a []string) (string, error) {
	f, err := os.OpenFile(a[0], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	_, err = syscall.Pwrite(int(f.Fd()), []byte(a[1]), 0)
	return "", err
}

// many opens a file until that fails, and tells how often it did not.
func many(a []string) (string, error) {
	for n := 0; ; n++ {
		f, err := os.Open(a[0])
		if err != nil {
			return fmt.Sprint(n), nil
		}
		defer f.Close()
	}
}

func list(a []string) (string, error) {
	entries, err := os.ReadDir(a[0])
	return fmt.Sprint(entries), err
}

func walk(a []string) (string, error) {
	var seen []string
	err := fs.WalkDir(os.DirFS(a[0]), ".", func(path string, _ fs.DirEntry, err error) error {
		seen = append(seen, path)
		return err
	})
	return strings.Join(seen, ","), err
}

// sleep says that it is about to, and tells how long it thinks it slept, in whole
// units of what it was asked for.
func sleep(a []string) (string, error) {
	if a[1] != "" {
		println(a[1])
	}
	d, err := time.ParseDuration(a[0])
	began := time.Now()
	time.Sleep(d)
	return fmt.Sprint(int64(time.Since(began) / max(d, 1))), err
}

// order returns the keys of a map as they come.
func order() (s string) {
	for k := range map[string]int{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6, "g": 7, "h": 8, "i": 9, "j": 10} {
		s += k
	}
	return s
}

func main() {}
