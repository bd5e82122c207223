package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Both forms write the same.
func TestJSONIsAsText(t *testing.T) {
	attrs := []any{"for", 1500 * time.Millisecond, "addr", &net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 4433}, "count", 3, "bill", slog.GroupValue(slog.Duration("cpu", time.Second))}
	for format, want := range map[string]string{
		"json": `"msg":"m","for":"1.5s","addr":"10.0.0.1:4433","count":3,"bill":{"cpu":"1s"}}`,
		"text": `msg=m for=1.5s addr=10.0.0.1:4433 count=3 bill.cpu=1s`,
	} {
		var out bytes.Buffer
		f := newHostFlags()
		f.logFormat = format
		f.logger(&out, slog.LevelInfo).Info("m", attrs...)
		if got := strings.TrimSpace(out.String()); !strings.HasSuffix(got, want) {
			t.Errorf("%s: %s, want %s at the end", format, got, want)
		}
	}
}

// A line of the log has no key that docs/metrics.md does not have: one thing has one name, whoever logs it.
func TestKeysOfTheLog(t *testing.T) {
	docs, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(docs), "## The log")
	known := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?`) \\|").FindAllStringSubmatch(section, -1) {
		for _, key := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row[1], -1) {
			known[key[1]] = false
		}
	}
	for _, dir := range []string{"cmd/bungee", "handler/host", "internal/far", "internal/link", "executor", "hostfunc", "offload/manager", "handler/ue/discover/mdns"} {
		for key, at := range keysIn(t, filepath.Join("../..", dir)) {
			if _, ok := known[key]; !ok {
				t.Errorf("%s logs %q, which is not among the keys of docs/metrics.md", at, key)
			}
			known[key] = true
		}
	}
	for key, used := range known {
		if !used && key != "time" && key != "level" && key != "msg" && key != "left_out_before" {
			t.Errorf("docs/metrics.md has the key %q, and nobody logs it", key)
		}
	}
}

// keysIn returns the keys in calls of loggers in a folder, and where one is.
func keysIn(t *testing.T, dir string) map[string]string {
	keys := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testdata") || strings.Contains(path, "enginetest") {
			return err
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			for _, key := range keysOf(n) {
				keys[key] = set.Position(n.Pos()).String()
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// keysOf returns the keys of a call of a logger, nothing for others.
func keysOf(n ast.Node) (keys []string) {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return nil
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !isLogger(method.X) {
		return nil
	}
	first, ok := map[string]int{"With": 0, "Debug": 1, "Info": 1, "Warn": 1, "Error": 1, "Log": 3}[method.Sel.Name]
	if !ok {
		return nil
	}
	for i := first; i < len(call.Args); i += 2 {
		if lit, ok := call.Args[i].(*ast.BasicLit); ok && lit.Kind == token.STRING {
			key, err := strconv.Unquote(lit.Value)
			if err == nil {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// isLogger says whether an expression is called as loggers are: log, c.log, cfg.Logger, cfg.guests.
func isLogger(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Name == "log"
	case *ast.SelectorExpr:
		return x.Sel.Name == "log" || x.Sel.Name == "Logger" || x.Sel.Name == "guests"
	}
	return false
}
