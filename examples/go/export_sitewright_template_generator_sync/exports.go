// Package export_sitewright_template_generator_sync has the two functions that the host calls.
package export_sitewright_template_generator_sync

import (
	wit "go.bytecodealliance.org/pkg/wit/types"

	"example.com/onepage/onepage"
	types "example.com/onepage/wit_bindgen/sitewright_template_types"
)

// Describe returns the manifest.
func Describe() types.Manifest {
	defer onepage.ReportPanic()
	return onepage.Manifest()
}

// Generate makes the site of an order.
func Generate(order string) wit.Result[wit.Unit, types.Failure] {
	defer onepage.ReportPanic()
	if failure := onepage.Generate(order); failure != nil {
		return wit.Err[wit.Unit](*failure)
	}
	return wit.Ok[wit.Unit, types.Failure](wit.Unit{})
}
