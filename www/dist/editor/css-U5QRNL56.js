import{a,b,c,d,e,f}from"./chunk-X3PEJ7FP.js";export{c as css,f as gss,b as keywords,e as less,a as mkCSS,d as sCSS};
