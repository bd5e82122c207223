package manager_test

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/bungee-xr/bungee/internal/authority"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/offload/cluster"
	"github.com/bungee-xr/bungee/offload/manager"
)

func Example() {
	dir, err := os.MkdirTemp("", "manager")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	certs, err := issueManager(filepath.Join(dir, "ca")) // as "bungee ca issue manager m1" does
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := manager.New(manager.Config{Certs: certs, Store: filepath.Join(dir, "store"), Cluster: cluster.Static("edge-1")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	state, err := m.State() // m.Serve would take UEs and hosts
	fmt.Println(state.ID, state.Epoch, state.Hosts, err)
	// Output: spiffe://acme.example/manager/m1 1 [] <nil>
}

func issueManager(dir string) (certs string, err error) {
	ca, _, err := authority.Init(dir, "acme.example", time.Hour)
	if err != nil {
		return "", err
	}
	defer ca.Close()
	id, err := ca.ID(identity.Manager, "", "m1")
	if err != nil {
		return "", err
	}
	i, _, err := ca.Issue(id, 0, nil)
	return i.Dir, err
}
