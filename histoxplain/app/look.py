"""How the page looks: colours and letters, light and dark, and the frame that an answer stands in."""

from __future__ import annotations

from html import escape
from typing import Any

FONTS = ("system-ui", "-apple-system", "Segoe UI", "sans-serif")
PLACEHOLDER = '<p class="hx-wait">Choose an image on the left, or take an example. The answer will appear here.</p>'
CSS = """
.hx-warning { display: inline-block; padding: 4px 12px; border-radius: 999px; font-weight: 600; font-size: 14px;
  background: #fbe8d8; color: #8a3b00; }
.hx-note { margin: 0; font-size: 13px; opacity: 0.75; }
.hx-wait { padding: 40px; text-align: center; border: 2px dashed var(--border-color-primary); border-radius: 16px; }
.hx-preview img { width: 192px; border-radius: 10px; display: block; }
.hx-preview p { margin: 6px 0 0; overflow-wrap: anywhere; }
.hx-answer iframe { width: 100%; height: 900px; border: 0; border-radius: 16px; }
.hx-file button { border: 2px dashed var(--border-color-primary); border-radius: 12px; }
.hx-choice input { text-overflow: ellipsis; padding-right: 30px !important; }
"""
SHOWN = """
const page = this.contentDocument, style = page.createElement('style');
style.textContent = '@media screen { header { display: none } body { padding-top: 20px } }';
page.head.append(style);
this.style.height = page.documentElement.scrollHeight + 24 + 'px'
"""
"""What is done once an answer is there: its headline is that of the page, and goes; saved and printed, it stays."""
SAVE = """() => {
  const page = document.querySelector('.hx-answer iframe');
  if (!page) return;
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([page.srcdoc], {type: 'text/html'}));
  link.download = 'report.html';
  link.click();
  URL.revokeObjectURL(link.href);
}"""
PRINT = "() => { const page = document.querySelector('.hx-answer iframe'); if (page) page.contentWindow.print(); }"


def framed(report: str) -> str:
    """A report, a whole HTML page, in a frame of its own that runs no scripts."""
    rights = 'sandbox="allow-same-origin allow-modals"'
    return f'<iframe title="The answer" {rights} onload="{SHOWN}" srcdoc="{escape(report)}"></iframe>'


def theme() -> Any:
    """Gradio's colours and letters, calm: nothing but the one button that matters stands out."""
    import gradio as gr

    plain = {
        f"block_{what}_background_fill{mode}": "transparent" for what in ("label", "title") for mode in ("", "_dark")
    }
    words = {f"block_{what}_text_color": "*neutral_700" for what in ("label", "title")}
    words |= {f"block_{what}_text_color_dark": "*neutral_200" for what in ("label", "title")}
    hues = {"primary_hue": "violet", "secondary_hue": "violet", "neutral_hue": "stone"}
    soft = gr.themes.Soft(**hues, font=FONTS, font_mono=("ui-monospace", "monospace"))
    strong = {f"button_primary_background_fill{mode}": "*primary_600" for mode in ("", "_dark")}
    strong |= {f"button_primary_background_fill_hover{mode}": "*primary_700" for mode in ("", "_dark")}
    bare = {"block_title_padding": "0", "block_label_shadow": "none", "block_label_border_width": "0"}
    return soft.set(**plain, **words, **strong, **bare, body_background_fill="*neutral_50")
