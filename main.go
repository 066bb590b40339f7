// The operator for application tokens. Flags, wiring and everything else are in internal/app.
package main

import (
	"os"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/apptoken/operator/internal/app"
)

func main() {
	os.Exit(app.Main(ctrl.SetupSignalHandler(), os.Args[1:], os.Stderr))
}
