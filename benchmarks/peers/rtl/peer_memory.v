// Memory of a peer core: one cycle from address to data, byte writes. Port `i` only reads and may be
// left at a constant address by cores with one bus; port `d` reads and writes.
//
// For simulation (WORDS = 32768) and ECP5 (WORDS = 2048, which becomes block RAM). No reset of contents.
`default_nettype none

module peer_memory #(
    parameter WORDS = 2048,
    parameter FETCH_PORT = 0
) (
    input  wire                     clk,
    input  wire [$clog2(WORDS)-1:0] i_addr,
    output reg  [31:0]              i_rdata,
    input  wire [$clog2(WORDS)-1:0] d_addr,
    input  wire [31:0]              d_wdata,
    input  wire [3:0]               d_wmask,
    output reg  [31:0]              d_rdata
);
    (* no_rw_check *)
    reg [31:0] words [0:WORDS-1] /* verilator public_flat_rw */;

    generate
        if (FETCH_PORT) begin : fetch
            always @(posedge clk) i_rdata <= words[i_addr];
        end else begin : no_fetch
            always @* i_rdata = 32'd0;
        end
    endgenerate

    always @(posedge clk) begin
        if (d_wmask[0]) words[d_addr][7:0] <= d_wdata[7:0];
        if (d_wmask[1]) words[d_addr][15:8] <= d_wdata[15:8];
        if (d_wmask[2]) words[d_addr][23:16] <= d_wdata[23:16];
        if (d_wmask[3]) words[d_addr][31:24] <= d_wdata[31:24];
        d_rdata <= words[d_addr];
    end
endmodule
