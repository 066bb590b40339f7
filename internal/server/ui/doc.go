// Package ui is the page on which people read what the doors answer, and try them out: Swagger UI, on the OpenAPI document
// that this server has at /openapi.json.
//
//	/ui                        leads to /ui/
//	/ui/                       the page
//	/ui/page.css               ours: what surrounds Swagger UI
//	/ui/init.js                ours: what Swagger UI is told
//	/ui/swagger-ui.css         Swagger UI
//	/ui/swagger-ui-bundle.js   Swagger UI
//	/ui/favicon.png            Swagger UI
//
// All of it is in the binary, and the browser is told to ask no other origin for anything. Nobody has to log in to read it:
// it holds no secret, and what is entered into it stays in the memory of the tab. It knows no door: what it shows is the
// document's affair, and who may do what is that of the doors.
package ui
