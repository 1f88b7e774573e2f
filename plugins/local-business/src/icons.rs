//! SVG icons of 24 by 24 units in the colour of the surrounding text.

macro_rules! icon {
    ($name:ident, $path:literal) => {
        icon!($name, "icon", $path);
    };
    ($name:ident, $class:literal, $path:literal) => {
        #[allow(missing_docs, reason = "the name says it")]
        pub const $name: &str = concat!(
            "<svg class=\"",
            $class,
            "\" viewBox=\"0 0 24 24\" aria-hidden=\"true\" focusable=\"false\" \
             fill=\"none\" stroke=\"currentColor\" stroke-width=\"2\" stroke-linecap=\"round\" \
             stroke-linejoin=\"round\">",
            $path,
            "</svg>"
        );
    };
}

icon!(MENU, "<path d=\"M4 7h16M4 12h16M4 17h16\"/>");
icon!(CLOSE, "<path d=\"m6 6 12 12M18 6 6 18\"/>");
// `flip`: mirrored where text runs from right to left.
icon!(ARROW, "icon flip", "<path d=\"M5 12h14m-6-6 6 6-6 6\"/>");
icon!(OUT, "icon flip", "<path d=\"M7 17 17 7m-8 0h8v8\"/>");
icon!(PLUS, "<path d=\"M12 5v14M5 12h14\"/>");
icon!(
    PIN,
    "<path d=\"M12 21s7-6.1 7-11.5a7 7 0 1 0-14 0C5 14.900 12 21 12 21z\"/><circle cx=\"12\" \
     cy=\"9.500\" r=\"2.500\"/>"
);
icon!(
    PHONE,
    "<path d=\"M6 3h3l2 5-2.500 1.500a12 12 0 0 0 6 6L16 13l5 2v3a3 3 0 0 1-3 3A15 15 0 0 1 3 6a3 \
     3 0 0 1 3-3z\"/>"
);
icon!(
    CHAT,
    "<path d=\"M21 11.500a8.500 8.500 0 0 1-12.600 7.400L3 21l2.100-5.400A8.500 8.500 0 1 1 21 \
     11.500z\"/><path d=\"M8.500 10h7M8.500 13.500h4.500\"/>"
);
icon!(
    MAIL,
    "<rect x=\"3\" y=\"5\" width=\"18\" height=\"14\" rx=\"2\"/><path d=\"m4 7 8 6 8-6\"/>"
);
icon!(
    CALENDAR,
    "<rect x=\"4\" y=\"5\" width=\"16\" height=\"15\" rx=\"2\"/><path d=\"M4 10h16M8 3v4M16 \
     3v4\"/>"
);
