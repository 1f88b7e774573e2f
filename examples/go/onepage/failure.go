package onepage

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	wit "go.bytecodealliance.org/pkg/wit/types"

	"example.com/onepage/wit_bindgen/sitewright_template_diagnostics"
	types "example.com/onepage/wit_bindgen/sitewright_template_types"
)

// The name of the module in go.mod. Paths of sources begin with it if they are compiled with
// `-trimpath`.
const module = "example.com/onepage/"

// fail returns why no site was made, with the line that calls it. `call` is the id of the AI call
// to blame, if there is one: a retry of the order repeats it. The errors that `cause` wraps become
// the causes.
func fail(code, message, call string, cause error) *types.Failure {
	failure := types.Failure{Code: code, Message: message, Location: caller()}
	if call != "" {
		failure.AiCalls = []string{call}
	}
	for ; cause != nil; cause = errors.Unwrap(cause) {
		failure.Causes = append(failure.Causes, cause.Error())
	}
	return &failure
}

// ReportPanic reports a panic of the function that defers it, with its message and its place, and
// goes on with it. Without it the record of the failure would only have what Go prints.
func ReportPanic() {
	value := recover()
	if value == nil {
		return
	}
	message := fmt.Sprint(value)
	if failed, is := value.(error); is {
		message = failed.Error()
	}
	sitewright_template_diagnostics.Panicked(sitewright_template_diagnostics.Panic{
		Message:   message,
		Location:  caller(),
		Backtrace: wit.Some(string(debug.Stack())),
	})
	panic(value)
}

// caller returns the innermost place in the sources of the template, this file excluded.
func caller() wit.Option[types.SourceLocation] {
	var counters [64]uintptr
	frames := runtime.CallersFrames(counters[:runtime.Callers(2, counters[:])])
	for {
		frame, more := frames.Next()
		file, own := strings.CutPrefix(frame.File, module)
		if own && !strings.HasSuffix(file, "/failure.go") && !strings.HasPrefix(file, "wit_") {
			return wit.Some(types.SourceLocation{File: file, Line: uint32(frame.Line)})
		}
		if !more {
			return wit.None[types.SourceLocation]()
		}
	}
}
