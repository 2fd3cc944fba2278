// The memory of peer_memory.v in the single-port RAM of iCE40 UP5K, which leaves all block RAM to the core.
// Two blocks (16384 x 16 each) make a 32-bit port; a core with a fetch port gets two more, as there is no
// second port. Only for place and route: the two copies are not kept equal.
`default_nettype none

module peer_memory #(
    parameter WORDS = 2048,
    parameter FETCH_PORT = 0
) (
    input  wire                     clk,
    input  wire [$clog2(WORDS)-1:0] i_addr,
    output wire [31:0]              i_rdata,
    input  wire [$clog2(WORDS)-1:0] d_addr,
    input  wire [31:0]              d_wdata,
    input  wire [3:0]               d_wmask,
    output wire [31:0]              d_rdata
);
    wire [13:0] i_block_addr = {{(14 - $clog2(WORDS)){1'b0}}, i_addr};
    wire [13:0] d_block_addr = {{(14 - $clog2(WORDS)){1'b0}}, d_addr};

    genvar half;
    generate
        for (half = 0; half < 2; half = half + 1) begin : halves
            SB_SPRAM256KA data (
                .CLOCK(clk), .ADDRESS(d_block_addr), .CHIPSELECT(1'b1), .WREN(|d_wmask[2*half +: 2]),
                .MASKWREN({{2{d_wmask[2*half+1]}}, {2{d_wmask[2*half]}}}),
                .DATAIN(d_wdata[16*half +: 16]), .DATAOUT(d_rdata[16*half +: 16]),
                .STANDBY(1'b0), .SLEEP(1'b0), .POWEROFF(1'b1)
            );
            if (FETCH_PORT) begin : fetch
                SB_SPRAM256KA code (
                    .CLOCK(clk), .ADDRESS(i_block_addr), .CHIPSELECT(1'b1), .WREN(1'b0), .MASKWREN(4'd0),
                    .DATAIN(16'd0), .DATAOUT(i_rdata[16*half +: 16]),
                    .STANDBY(1'b0), .SLEEP(1'b0), .POWEROFF(1'b1)
                );
            end else begin : no_fetch
                assign i_rdata[16*half +: 16] = 16'd0;
            end
        end
    endgenerate
endmodule
