import{a,b,c,d,e,f}from"./chunk-75EUW6I4.js";export{c as css,f as gss,b as keywords,e as less,a as mkCSS,d as sCSS};
