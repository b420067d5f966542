// Under the pointer: which epoch a cell is, and the percent that it says to whoever does not see its colour.
const table = document.querySelector("table.uptime");
const heads = table === null ? [] : table.tHead.rows[0].cells;
table?.addEventListener("pointerover", (event) => {
  const cell = event.target.closest("tbody td");
  if (cell === null || cell.cellIndex < 2 || cell.title !== "") return;
  const epoch = heads[cell.cellIndex].textContent;
  cell.title = cell.textContent === "" ? `Epoch ${epoch}: not enrolled yet` : `Epoch ${epoch}: ${cell.textContent} %`;
});
