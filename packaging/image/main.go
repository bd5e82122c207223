// Command image writes bungee as an OCI image: a tar file with an image layout (image-spec v1), which
// podman, skopeo, crane and "docker load" of current engines read. It needs no engine and no network, and the
// same files give the same bytes.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
)

// user is who the program runs as: nobody who is anybody elsewhere.
const user = 65532

func main() {
	var b build
	flag.StringVar(&b.program, "program", "bin/static/bungee", "statically linked bungee")
	flag.StringVar(&b.roots, "roots", "/etc/ssl/certs/ca-certificates.crt", "CA certificates, which guests with egress need")
	flag.StringVar(&b.name, "name", "bungee:latest", "name of the image in the layout")
	flag.StringVar(&b.arch, "arch", runtime.GOARCH, "architecture of the program, as Go names it")
	out := flag.String("o", "bin/bungee-image.tar", "file to write")
	flag.Parse()
	if err := b.writeFile(*out); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// A build is what goes into an image.
type build struct{ program, roots, name, arch string }

// writeFile writes the image into a file, which is whole or not there.
func (b build) writeFile(name string) error {
	var image bytes.Buffer
	if err := b.write(&image); err != nil {
		return err
	}
	if err := os.WriteFile(name+".new", image.Bytes(), 0o644); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// The media types of the image format, and the version of its layout.
const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar+gzip"
	indexType    = "application/vnd.oci.image.index.v1+json"
	layout       = `{"imageLayoutVersion":"1.0.0"}`
)

// A descriptor refers to a blob.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type object = map[string]any

// write writes the layout.
func (b build) write(w io.Writer) error {
	layer, err := b.layer()
	if err != nil {
		return err
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(layer) // a write to memory cannot fail
	z.Close()
	config := mustJSON(object{
		"architecture": b.arch, "os": "linux",
		"config": object{
			"User":         fmt.Sprintf("%d:%d", user, user),
			"Entrypoint":   []string{"/usr/bin/bungee"},
			"Cmd":          []string{"host", "--listen", ":4433", "--certs", "/etc/bungee/certs", "--cache", "/var/cache/bungee"},
			"Env":          []string{"PATH=/usr/bin", "HOME=/var/lib/bungee"},
			"WorkingDir":   "/",
			"ExposedPorts": object{"4433/udp": object{}, "4433/tcp": object{}},
			"Volumes":      object{"/etc/bungee/certs": object{}, "/var/cache/bungee": object{}},
			"StopSignal":   "SIGTERM",
		},
		"rootfs": object{"type": "layers", "diff_ids": []string{digest(layer)}},
	})
	manifest := mustJSON(object{
		"schemaVersion": 2, "mediaType": manifestType,
		"config": describe(configType, config),
		"layers": []descriptor{describe(layerType, zipped.Bytes())},
	})
	of := describe(manifestType, manifest)
	of.Annotations = map[string]string{"org.opencontainers.image.ref.name": b.name}
	index := mustJSON(object{"schemaVersion": 2, "mediaType": indexType, "manifests": []descriptor{of}})
	t := tar.NewWriter(w)
	for _, f := range []file{{"oci-layout", 0o644, []byte(layout)}, {"index.json", 0o644, index}, blob(config), blob(zipped.Bytes()), blob(manifest)} {
		err = errors.Join(err, f.add(t, 0))
	}
	return errors.Join(err, t.Close())
}

// layer returns the files of the image: all of them, so nothing else is in it.
func (b build) layer() ([]byte, error) {
	program, err := os.ReadFile(b.program)
	if err != nil {
		return nil, err
	}
	roots, err := os.ReadFile(b.roots)
	if err != nil {
		return nil, fmt.Errorf("CA certificates: %w; Debian has them in its package ca-certificates", err)
	}
	var layer bytes.Buffer
	t := tar.NewWriter(&layer)
	for _, dir := range []string{"etc/", "etc/bungee/", "etc/ssl/", "etc/ssl/certs/", "usr/", "usr/bin/", "var/", "var/cache/", "var/lib/", "dev/", "proc/", "sys/"} {
		err = errors.Join(err, file{dir, 0o755, nil}.add(t, 0))
	}
	for _, dir := range []string{"etc/bungee/certs/", "var/cache/bungee/", "var/lib/bungee/"} { // for mounts
		err = errors.Join(err, file{dir, 0o700, nil}.add(t, user))
	}
	for _, f := range []file{
		{"etc/passwd", 0o644, fmt.Appendf(nil, "root:x:0:0::/:/sbin/nologin\nbungee:x:%d:%d::/var/lib/bungee:/sbin/nologin\n", user, user)},
		{"etc/group", 0o644, fmt.Appendf(nil, "root:x:0:\nbungee:x:%d:\n", user)},
		{"etc/ssl/certs/ca-certificates.crt", 0o644, roots},
		{"usr/bin/bungee", 0o755, program},
	} {
		err = errors.Join(err, f.add(t, 0))
	}
	return layer.Bytes(), errors.Join(err, t.Close())
}

// A file is one of an archive; a folder's name ends with a slash.
type file struct {
	name    string
	mode    int64
	content []byte
}

// blob returns content as a file of the layout.
func blob(content []byte) file {
	return file{"blobs/sha256/" + digest(content)[len("sha256:"):], 0o644, content}
}

// add adds f, which belongs to owner.
func (f file) add(t *tar.Writer, owner int) error {
	h := tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content)), Uid: owner, Gid: owner, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
	if f.name[len(f.name)-1] == '/' {
		h.Typeflag = tar.TypeDir
	}
	if err := t.WriteHeader(&h); err != nil {
		return err
	}
	_, err := t.Write(f.content)
	return err
}

func digest(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

func describe(mediaType string, b []byte) descriptor {
	return descriptor{MediaType: mediaType, Digest: digest(b), Size: len(b)}
}

// mustJSON encodes what always can be. Its keys are sorted.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
