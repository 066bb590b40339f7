package controllers

// ByUrgency is how ApplicationTokens get into the queue.
var ByUrgency = &byUrgency{}
