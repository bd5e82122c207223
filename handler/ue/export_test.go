package ue

// ForgetNetworks forgets what handlers have learned of networks.
func ForgetNetworks() {
	reached.mu.Lock()
	defer reached.mu.Unlock()
	reached.known = nil
}
