// Package soap calls the SOAP services of Spectrum with SOAP clients that others wrote. Each
// makes its client from the WSDL document of a running server: the npm package soap, Zeep for
// Python, and JAX-WS for Java. A program that is not installed skips its test; see
// test/programs.
package soap
