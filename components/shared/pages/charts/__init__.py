"""Charts for the pages: small inline SVG drawings that follow the page's colours.

A chart gets data that was already counted or summarised: tables stay in the database. One kind of chart is one module,
which draws on a `canvas.Plot` along the axes of `scales`; `svg` turns what Matplotlib writes into the page's markup.
"""

from components.shared.pages.charts.bar_charts import bars
from components.shared.pages.charts.heat_maps import heatmap
from components.shared.pages.charts.histograms import histogram
from components.shared.pages.charts.line_charts import lines
from components.shared.pages.charts.scatter_plots import scatter

__all__ = ["bars", "heatmap", "histogram", "lines", "scatter"]
