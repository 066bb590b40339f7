// Package ui serves Swagger UI, on which users read and try out the operations of the OpenAPI
// document at /openapi.json.
//
//	/ui                        redirects to /ui/
//	/ui/                       the page, from this package
//	/ui/page.css               style around Swagger UI, from this package
//	/ui/init.js                configuration of Swagger UI, from this package
//	/ui/swagger-ui.css         Swagger UI
//	/ui/swagger-ui-bundle.js   Swagger UI
//	/ui/favicon.png            Swagger UI
//
// All files are in the binary, and the Content-Security-Policy forbids requests to other origins.
// The page needs no login: it holds no secret, and input stays in the memory of the browser tab. It
// knows no endpoint. The document lists them, and each endpoint decides who may call it.
package ui
